#!/usr/bin/env bash
# The system tier: one container, all tests of the service under systemd.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

usage() {
  cat << 'U'
usage: tests/system/run.sh [-t SECONDS] BUILD_DIR [NAME...]

Boots systemd in a container once and runs tests/system/suite.sh there, which installs BUILD_DIR into
it and runs each BUILD_DIR/tests/system/*_system_test; or only the programs that are named. Results,
one XML file and one log a program, are left in BUILD_DIR/system.

  -t SECONDS  limit from boot to end; 170
U
}

limit=170
case ${1:-} in --help | -h) usage; exit 0 ;; esac
while getopts t: option; do
  case $option in
    t) limit=$OPTARG ;;
    *) usage >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
if [ $# -eq 0 ] || [ ! -d "$1" ]; then usage >&2; exit 2; fi
build=$(cd "$1" && pwd)
shift
rm -rf "$build/system"
exec "$here/container.sh" -t "$limit" -d "$build/system" "$here/suite.sh" "$build" "$@"
