#!/usr/bin/env bash
# Runs inside the guest: every test program that needs it, one after the other.
set -euo pipefail
source_directory=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=../support/gtest_result.sh
. "$source_directory/tests/support/gtest_result.sh"

usage() {
  cat <<'U'
usage: tests/vm/suite.sh BUILD_DIR [NAME...]

Run inside the guest by tests/vm/run.sh. Runs BUILD_DIR/tests/vm/*_guest_test, the hostile tests of
descriptors that clients send, and those of BUILD_DIR/tests/integration that its file `on_devices`
names, with HLBUF_TEST_DEVICE=udmabuf and =dma-heap; or of these only the programs named, *_guest_soak among them. All are gtest programs. Writes KIND.NAME.xml and
KIND.NAME.log to $HLBUF_GUEST_OUT (a temporary directory without it); lines of a program that begin
with "progress: " are shown while it runs. HLBUF_PROGRAM_LIMIT is what a program may take, 600
seconds without it. Ends with 1 if anything failed or nothing ran.
U
}

case ${1:-} in
  --help | -h) usage; exit 0 ;;
  '') usage >&2; exit 2 ;;
esac
build=$1
shift
names=" $* "
out=${HLBUF_GUEST_OUT:-$(mktemp -d)}
program_limit=${HLBUF_PROGRAM_LIMIT:-600}  # seconds; some twenty times what a program needs without emulation
ran=0 failed=0
export HLBUF_BUILD_DIR=$build HLBUF_SOURCE_DIR=$source_directory

# run_program KIND PROGRAM: KIND names the device as well, when there is one.
run_program() {
  local kind=$1 program=$2 name result status=0 started=$SECONDS
  name=$(basename "$program")
  result=$out/$kind.$name
  timeout -k 5 "$program_limit" "$program" "--gtest_output=xml:$result.xml" 2>&1 < /dev/null |
    tee "$result.log" | sed -un 's/^progress: /        /p' || status=$?
  if [ ! -s "$result.xml" ]; then
    record_crash "$name" "$result.xml" "ended with status $status and no result"
    status=${status/#0/1}
  fi
  ran=$((ran + 1))
  if [ "$status" = 0 ] && [ "$(tests_in "$result.xml")" != 0 ]; then
    printf 'ok      %4d s  %-9s %s (%s tests)\n' $((SECONDS - started)) "$kind" "$name" \
      "$(tests_in "$result.xml")"
  else
    failed=$((failed + 1))
    printf 'FAILED  %4d s  %-9s %s (status %s)\n' $((SECONDS - started)) "$kind" "$name" "$status"
    tail -n 60 "$result.log" | sed 's/^/    /'
  fi
}

# What a program that was killed has left loaded; the tests that need these modules load them.
unload_modules() { rmmod hlimport habanalabs 2> /dev/null || :; }

# run_all KIND PROGRAM...: a pattern that matched nothing is no program.
run_all() {
  local kind=$1 program
  shift
  for program; do
    [ -x "$program" ] || continue
    if [ "$names" = "  " ] || [[ $names == *" $(basename "$program") "* ]]; then
      run_program "$kind" "$program"
      unload_modules
    fi
  done
}

run_all guest "$build"/tests/vm/*_guest_test
if [ "$names" != "  " ]; then run_all guest "$build"/tests/vm/*_guest_soak; fi
# This kernel, unlike newer ones, lets clients send descriptors.
run_all hostile "$build"/tests/hostile/threat0[23]_*_test
mapfile -t on_devices < "$build/tests/integration/on_devices"
for device in udmabuf dma-heap; do
  HLBUF_TEST_DEVICE=$device run_all $device "${on_devices[@]/#/"$build/tests/integration/"}"
done

if [ $ran = 0 ]; then
  echo "suite.sh: no guest test is built in $build${names:+ ($*)}" >&2
  exit 1
fi
echo "$ran programs ran in the guest, $failed failed"
[ $failed = 0 ]
