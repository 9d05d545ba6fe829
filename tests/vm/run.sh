#!/usr/bin/env bash
# The guest tier: one boot, all tests that need a kernel with real dma-bufs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=env.sh
. "$here/env.sh"

usage() {
  cat <<'U'
usage: tests/vm/run.sh [-t SECONDS] [-a KERNEL_ARGUMENTS] [-e NAME=VALUE]... BUILD_DIR [NAME...]

Builds the stand-in for the habanalabs driver, boots the guest once and runs tests/vm/suite.sh
there: each guest test of BUILD_DIR, and its integration tests on udmabuf and on a dma-heap; or only
the programs that are named. Results, one XML file and one log a program, are left in
BUILD_DIR/guest.

  -t SECONDS     limit from boot to end; 2400
  -a ARGUMENTS   for the guest's kernel
  -e NAME=VALUE  in the environment of the tests; HLBUF_PROGRAM_LIMIT=SECONDS is for each program
U
}

limit=2400 kernel_arguments='' environment=()
case ${1:-} in --help | -h) usage; exit 0 ;; esac
while getopts t:a:e: option; do
  case $option in
    t) limit=$OPTARG ;;
    a) kernel_arguments=$OPTARG ;;
    e) environment+=("$OPTARG") ;;
    *) usage >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
if [ $# -eq 0 ] || [ ! -d "$1" ]; then usage >&2; exit 2; fi
build=$(cd "$1" && pwd)
shift

"$here/hlsim/build.sh" "$build/tests/vm/hlsim"
if [ -n "$(udev_version)" ]; then environment+=("HLBUF_UDEV=$udev"); fi
rm -rf "$build/guest"
# Two devices that the stand-in's `pci=1` takes for cards: one behind a switch, one alone.
cards="-device pcie-root-port,id=card-root,chassis=1,slot=1
  -device x3130-upstream,bus=card-root,id=card-switch
  -device xio3130-downstream,bus=card-switch,id=card-port,chassis=2,slot=2
  -object memory-backend-ram,id=behind,size=1M,share=on
  -device ivshmem-plain,memdev=behind,bus=card-port
  -object memory-backend-ram,id=alone,size=1M,share=on -device ivshmem-plain,memdev=alone"
exec "$here/guest.sh" -t "$limit" -a "$kernel_arguments" -q "$cards" -d "$build/guest" \
  env "${environment[@]}" "$here/suite.sh" "$build" "$@"
