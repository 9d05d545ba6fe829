#!/usr/bin/env bash
# Builds the release preset and measures it against the bare system calls.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")/../.."
# shellcheck source=../support/ccache.sh
. tests/support/ccache.sh

usage() {
  cat << 'U'
usage: tests/bench/run.sh [--json FILE] [--quick] [--rows ROW,...]

Measures a release build of hl-bufd and libhlbuf against a server that makes the same system calls
and nothing else, and prints a table. A figure is the median over 21 rounds, in which both take
turns; it is measured with all processes on one core, and again with all cores for all of them.

  --json FILE  the figures also as one flat object: medians with everything on one core under their
               names, without that under NAME_unpinned, quartiles with _q1 and _q3 behind that
  --quick      few and short rounds: shows that it runs, not how fast
  --rows       only these: open, batch, allocate, sessions, buffers, core, revoke

Exit status: 0 when everything was measured, whatever came out; 1 when something failed.
The machine should be idle otherwise, and has to allow 20,000 descriptors (ulimit -Hn).
U
}

arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --quick) arguments+=(--quick) ;;
    --json | --rows)
      if [ $# -lt 2 ]; then
        usage >&2
        exit 2
      fi
      value=$2
      if [ "$1" = --json ] && [[ $value != /* ]]; then value=$called_from/$value; fi
      arguments+=("$1" "$value")
      shift
      ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

build=build/release
mkdir -p "$build"
use_ccache
if ! { cmake --preset release &&
  cmake --build "$build" --target hl-bufd hl-bench hl-bench-floor hl-bench-holders core_bench; } \
  > "$build/bench-build.log" 2>&1; then
  cat "$build/bench-build.log" >&2
  exit 1
fi

# Paths of sockets are short. What hl-bench starts ends with it; what it leaves is here.
scratch=$(mktemp -d /tmp/hlb.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
"$build/tests/bench/hl-bench" --daemon "$build/daemon/hl-bufd" --programs "$build/tests/bench" \
  --scratch "$scratch" "${arguments[@]}"
