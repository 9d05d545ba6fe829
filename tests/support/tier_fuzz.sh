#!/usr/bin/env bash
# about: libFuzzer on each target, each for HLBUF_FUZZ_SECONDS (60)
# packages: build test fuzz
# shellcheck source=tier.sh
. tests/support/tier.sh
build fuzz
shopt -s nullglob
targets=(build/fuzz/tests/fuzz/*_fuzz)
if [ ${#targets[@]} = 0 ]; then
  echo "no program build/fuzz/tests/fuzz/*_fuzz was built"
  exit 1
fi
seconds=${HLBUF_FUZZ_SECONDS:-60}

# fuzz TARGET: what it finds goes to the build tree; the inputs that the sources keep are only
# read. An input that breaks the target stays in build/fuzz/found.
fuzz() {
  local name inputs
  name=$(basename "$1")
  inputs=("build/fuzz/corpus/$name")
  if [ -d "tests/fuzz/corpus/${name%_fuzz}" ]; then inputs+=("tests/fuzz/corpus/${name%_fuzz}"); fi
  mkdir -p "${inputs[0]}" build/fuzz/found
  timeout $((seconds * 2 + 60)) "$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="build/fuzz/found/$name." "${inputs[@]}"
}

for target in "${targets[@]}"; do
  check "$(basename "$target") for $seconds s" fuzz "$target"
done
check_all
