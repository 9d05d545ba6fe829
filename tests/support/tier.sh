# shellcheck shell=bash
# What the tiers have in common. A tier is a file tier_NAME.sh, run by tests/run.sh in a process of
# its own, in the root of the sources, which begins with
#   # about: one line for --list
#   # packages: the groups of packages.sh that it needs
#   # optional: yes, where it is no failure that a machine cannot run it
# and sources this. It reports through count, check and skip; it fails by its exit status too.
set -euo pipefail
support=tests/support
# shellcheck source=ccache.sh
. $support/ccache.sh
jobs=$(nproc)
results=${HLBUF_TIER_RESULTS:?tiers are run by tests/run.sh}  # empty, and this tier's own
counts=$results/counts  # lines of `passed failed skipped`
skips=$results/skipped_tests  # a line for each, with its reason

# skip WHY: ends the tier; this machine cannot run it.
skip() {
  echo "$1" > "$results/skipped"
  exit 77
}

# Skips the tier where the guest cannot be.
need_guest() {
  local free_mib
  if [ "$(uname -m)" != x86_64 ]; then skip "the guest is x86_64, this machine is $(uname -m)"; fi
  free_mib=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
  if [ "$free_mib" -lt 3500 ]; then
    skip "the guest needs 3500 MiB of memory, $free_mib are free"
  fi
}

# run_guest ARGUMENTS...: tests/vm/run.sh with the dev build; counts its tests, also when the guest
# died half way: the programs that had ended by then count.
run_guest() {
  local status=0
  tests/vm/run.sh "$@" || status=$?
  if [ -d build/dev/guest ]; then
    # shellcheck disable=SC2046  # three numbers
    count $(python3 $support/count_tests.py --skipped "$skips" build/dev/guest)
  fi
  return $status
}

count() { echo "$1 $2 $3" >> "$counts"; }

# check NAME COMMAND...: one test. Its output is shown when it fails. The last command of a function
# decides: set -e does not hold inside.
check() {
  local name=$1
  shift
  if "$@" > "$results/check.log" 2>&1; then
    echo "ok      $name"
    count 1 0 0
  else
    echo "FAILED  $name"
    tail -n 200 "$results/check.log" | sed 's/^/    /'
    count 0 1 0
  fi
}

# check_all: whether no check of this tier has failed.
check_all() { ! grep -qvE '^[0-9]+ 0 ' "$counts"; }

# compile DIR [TARGET]: on a terminal with ninja's progress, else with what the compilers say.
compile() {
  local quiet=() target=${2:-all}
  if [ ! -t 1 ]; then quiet=(-- --quiet); fi
  echo "building $1"
  cmake --build "$1" --target "$target" -j "$jobs" "${quiet[@]}"
}

# configure DIR CMAKE_ARGUMENTS...: shows the output when it fails.
configure() {
  local directory=$1
  shift
  use_ccache
  mkdir -p "$directory"
  if ! cmake "$@" > "$directory/configure.log" 2>&1; then
    cat "$directory/configure.log"
    return 1
  fi
}

# build PRESET
build() {
  configure "build/$1" --preset "$1"
  compile "build/$1" "${2:-all}"
}

# discard_at_end PRESET: in CI, whose disk has to hold all builds and which never builds again; also
# when the tier dies half way.
discard_at_end() {
  # shellcheck disable=SC2064  # the preset of now
  if [ "${CI:-}" = true ]; then trap "rm -rf 'build/$1'" EXIT; fi
}

# run_ctest DIR [CTEST_ARGUMENTS...]: counts each test of each program.
run_ctest() {
  local directory=$1 status=0 tally
  shift
  mkdir -p "$results/gtest"
  GTEST_OUTPUT="xml:$PWD/$results/gtest/" ctest --test-dir "$directory" --output-on-failure \
    --no-tests=error -j "$jobs" --output-junit "$PWD/$results/ctest.junit" "$@" || status=$?
  tally=$(python3 $support/count_tests.py --ctest "$results/ctest.junit" --skipped "$skips" \
    "$results/gtest")
  # shellcheck disable=SC2086  # three numbers
  count $tally
  return $status
}

# run_sanitized DIR [CTEST_ARGUMENTS...]: with fixed addresses where that is allowed, since GCC 12's
# sanitizers refuse to start when the kernel spreads mappings wider than their shadow expects.
run_sanitized() {
  local machine
  machine=$(uname -m)
  if setarch "$machine" -R true 2> /dev/null; then
    ctest() { setarch "$machine" -R ctest "$@"; }
  fi
  run_ctest "$@"
}
