#!/usr/bin/env bash
# Builds the release preset and measures it against the bare system calls.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")/../.."
# shellcheck source=../support/ccache.sh
. tests/support/ccache.sh

usage() {
  cat << 'U'
usage: tests/bench/run.sh [--json FILE] [--quick] [--no-guest] [--rows ROW,...]

Measures a release build of hl-bufd and libhlbuf against a server that makes the same system calls
and nothing else, and prints a table. A figure is the median over 21 rounds, in which both take
turns; it is measured with all processes on one core, and again with all cores for all of them.

What takes a card is measured in the guest, on the stand-in for the driver, once: how many of 100
resets of a card in use completed within the driver's window, what they left behind, what the broker
adds to an export, how many of the holders of a buffer were found. That needs QEMU, and a few
minutes; a row that could not be measured says so, and is not in the file.

How many kills clients live through without noticing, and how long the longest wait for a grant is,
is measured by the tests that are there for it, once.

  --json FILE  the figures also as one flat object: medians with everything on one core under their
               names, without that under NAME_unpinned, quartiles with _q1 and _q3 behind that; of
               the guest reset_completes, reset_leaks, export_ratio, holders_found; of restarts
               restart_ms_10k, soak_kills, soak_lost, soak_errors
  --quick      few and short rounds: shows that it runs, not how fast; no restarts and no guest,
               unless --rows has a row of them
  --no-guest   leaves out the guest's rows
  --rows       only these: open, batch, allocate, sessions, buffers, core, revoke; restart, soak; in
               the guest resets, export, holders

Environment: HLBUF_RESETS, instead of 100; HLBUF_KILLS and HLBUF_KILL_RESETS of the row soak, instead
of 100 and 10. Exit status: 0 when everything was measured that can be here, whatever came out; 1
when something failed.
The machine should be idle otherwise, and has to allow 20,000 descriptors (ulimit -Hn).
U
}

native_rows=(open batch allocate sessions buffers core revoke)
recorded_rows=(restart soak)
guest_rows=(resets export holders)
declare -A guest_program=([resets]=reset_load_guest_test [export]=export_ratio_guest_test
  [holders]=holders_guest_test)

arguments=() json='' quick=no rows=''
native=("${native_rows[@]}") recorded=("${recorded_rows[@]}") guest=("${guest_rows[@]}")
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --quick) quick=yes ;;
    --no-guest) guest=() ;;
    --json | --rows)
      if [ $# -lt 2 ]; then
        usage >&2
        exit 2
      fi
      if [ "$1" = --json ]; then json=$2; else rows=$2; fi
      shift
      ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
if [ -n "$json" ] && [[ $json != /* ]]; then json=$called_from/$json; fi
if [ $quick = yes ]; then
  arguments+=(--quick)
  if [ -z "$rows" ]; then guest=() recorded=(); fi
fi

# has WORD LIST...
has() {
  local word=$1 one
  shift
  for one; do if [ "$one" = "$word" ]; then return 0; fi; done
  return 1
}

if [ -n "$rows" ]; then
  native=() recorded=() guest=()
  IFS=, read -ra wanted <<< "$rows"
  for row in "${wanted[@]}"; do
    if has "$row" "${native_rows[@]}"; then
      native+=("$row")
    elif has "$row" "${recorded_rows[@]}"; then
      recorded+=("$row")
    elif has "$row" "${guest_rows[@]}"; then
      guest+=("$row")
    else
      echo "run.sh: there is no row '$row'; --help has them" >&2
      exit 2
    fi
  done
fi
joined() { local IFS=,; echo "$*"; }

build=build/release
# build_targets TARGET...: shows what the compiler said when it fails.
build_targets() {
  if ! cmake --build "$build" --target "$@" > "$build/bench-build.log" 2>&1; then
    cat "$build/bench-build.log" >&2
    return 1
  fi
}
mkdir -p "$build"
use_ccache
if ! cmake --preset release > "$build/bench-build.log" 2>&1; then
  cat "$build/bench-build.log" >&2
  exit 1
fi

measure_natively() {
  build_targets hl-bufd hl-bench hl-bench-floor hl-bench-holders core_bench
  # Paths of sockets are short. What hl-bench starts ends with it; what it leaves is here.
  scratch=$(mktemp -d /tmp/hlb.XXXXXX)
  trap 'rm -rf "$scratch"' EXIT
  if [ -n "$json" ]; then arguments+=(--json "$json"); fi
  "$build/tests/bench/hl-bench" --daemon "$build/daemon/hl-bufd" --programs "$build/tests/bench" \
    --scratch "$scratch" --rows "$(joined "${native[@]}")" "${arguments[@]}"
}

# By tests, whose properties are the figures. One that fails has them all the same.
record_natively() {
  local row failed=0 results=$PWD/$build/recorded
  declare -A program=([restart]=restart_time_test [soak]=kill_soak_test)
  export HLBUF_BUILD_DIR=$PWD/$build HLBUF_SOURCE_DIR=$PWD
  rm -rf "$results"
  for row in "${recorded[@]}"; do
    build_targets "${program[$row]}"
    if ! HLBUF_RESTART_BUFFERS=10000 HLBUF_KILLS=${HLBUF_KILLS:-100} \
      HLBUF_KILL_RESETS=${HLBUF_KILL_RESETS:-10} "$build/tests/soak/${program[$row]}" \
      "--gtest_output=xml:$results/${program[$row]}.xml" > "$build/bench-$row.log" 2>&1; then
      echo "run.sh: ${program[$row]} failed; $build/bench-$row.log has the reason" >&2
      failed=1
    fi
  done
  python3 -B tests/bench/recorded_rows.py --heading 'Restarts of the service:' \
    --rows "$(joined "${recorded[@]}")" ${json:+--json "$json"} --require "$results" || failed=1
  return $failed
}

# Why the guest cannot be here; nothing when it can.
guest_lacks() {
  if [ "$(uname -m)" != x86_64 ]; then
    echo "the guest is x86_64"
  elif ! command -v qemu-system-x86_64 > /dev/null; then
    echo "there is no qemu-system-x86_64"
  elif ! tests/vm/fetch.sh --headers > "$build/bench-guest.log" 2>&1; then
    echo "the guest's kernel could not be had"
  fi
}

# The programs of the rows that this version has.
guest_programs() {
  local row known
  known=$(cmake --build "$build" --target help)
  for row in "${guest[@]}"; do
    if grep -q "^${guest_program[$row]}:" <<< "$known"; then echo "${guest_program[$row]}"; fi
  done
}

measure_in_guest() {
  local why programs failed=0 required=() settings=(-e HLBUF_BENCH_ROUNDS=21 -e HLBUF_BENCH_SAMPLES=256
    -e "HLBUF_RESETS=${HLBUF_RESETS:-100}" -e HLBUF_PROGRAM_LIMIT=1800)
  if [ $quick = yes ]; then settings=(-e "HLBUF_RESETS=${HLBUF_RESETS:-9}"); fi
  why=$(guest_lacks)
  rm -rf "$build/guest"
  mapfile -t programs < <(guest_programs)
  if [ -z "$why" ] && [ ${#programs[@]} = 0 ]; then why="this version has no program for it"; fi
  if [ -z "$why" ]; then
    build_targets "${programs[@]}" hl-bufd hl-bufd-keeper
    # A program that fails has its figures all the same, or is said to have none.
    if ! tests/vm/run.sh -t 3600 "${settings[@]}" "$build" "${programs[@]}" \
      > "$build/bench-guest.log" 2>&1; then
      grep -E '^(FAILED|guest.sh)' "$build/bench-guest.log" >&2 || :
      why="$build/bench-guest.log has the reason"
      failed=1
    else
      required=(--require)
    fi
  fi
  python3 -B tests/bench/recorded_rows.py --rows "$(joined "${guest[@]}")" ${json:+--json "$json"} \
    ${why:+--why-none "$why"} "${required[@]}" "$build/guest"
  return $failed
}

if [ -n "$json" ]; then rm -f "$json"; fi
if [ ${#native[@]} != 0 ]; then measure_natively; fi
failed=0
if [ ${#recorded[@]} != 0 ]; then record_natively || failed=1; fi
if [ ${#guest[@]} != 0 ]; then
  measure_in_guest || failed=1
elif [ -z "$rows" ]; then
  echo
  echo "not measured: reset_completes, reset_leaks, export_ratio, holders_found (rows of the guest)"
fi
exit $failed
