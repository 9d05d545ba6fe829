#!/usr/bin/env bash
# Runs inside the container: installs the service, then each test program, one after the other.
set -euo pipefail
source_directory=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=../support/gtest_result.sh
. "$source_directory/tests/support/gtest_result.sh"

usage() {
  cat << 'U'
usage: tests/system/suite.sh BUILD_DIR [NAME...]

Run inside the container by tests/system/run.sh, for it changes the system: installs BUILD_DIR, and runs
BUILD_DIR/tests/system/*_system_test or only the programs named. They are gtest programs. Writes
system.NAME.xml and system.NAME.log to $HLBUF_CONTAINER_OUT. Ends with 1 if anything failed or
nothing ran.
U
}

case ${1:-} in
  --help | -h) usage; exit 0 ;;
  '') usage >&2; exit 2 ;;
esac
build=$1
shift
names=" $* "
out=${HLBUF_CONTAINER_OUT:?this is for the container, tests/system/run.sh starts it}
program_limit=100  # seconds; several times what the longest needs
ran=0 failed=0
export HLBUF_BUILD_DIR=$build HLBUF_SOURCE_DIR=$source_directory

# What a package's scripts would do.
install_service() {
  cmake --install "$build" && ldconfig && systemd-sysusers && systemd-tmpfiles --create &&
    journalctl --update-catalog && systemctl daemon-reload
}

run_program() {
  local program=$1 name result status=0 started=$SECONDS
  name=$(basename "$program")
  result=$out/system.$name
  timeout -k 5 $program_limit "$program" "--gtest_output=xml:$result.xml" \
    > "$result.log" 2>&1 < /dev/null || status=$?
  if [ ! -s "$result.xml" ]; then
    record_crash "$name" "$result.xml" "ended with status $status and no result"
    status=${status/#0/1}
  fi
  ran=$((ran + 1))
  if [ "$status" = 0 ] && [ "$(tests_in "$result.xml")" != 0 ]; then
    printf 'ok      %4d s  %s (%s tests)\n' $((SECONDS - started)) "$name" "$(tests_in "$result.xml")"
    grep -h 'Overall exposure' "$result.log" || :
  else
    failed=$((failed + 1))
    printf 'FAILED  %4d s  %s (status %s)\n' $((SECONDS - started)) "$name" "$status"
    tail -n 120 "$result.log" | sed 's/^/    /'
  fi
}

if ! install_service > "$out/install.log" 2>&1; then
  echo "suite.sh: the service could not be installed" >&2
  tail -n 20 "$out/install.log" >&2
  exit 1
fi
for program in "$build"/tests/system/*_system_test; do
  [ -x "$program" ] || continue
  if [ "$names" = "  " ] || [[ $names == *" $(basename "$program") "* ]]; then
    run_program "$program"
  fi
done

if [ $ran = 0 ]; then
  echo "suite.sh: no system test is built in $build${names:+ ($*)}" >&2
  exit 1
fi
echo "$ran programs ran in the container, $failed failed"
[ $failed = 0 ]
