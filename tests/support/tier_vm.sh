#!/usr/bin/env bash
# about: the guest: real dma-bufs, debugfs, vgem, several users (dev build, QEMU)
# packages: build test guest
# shellcheck source=tier.sh
. tests/support/tier.sh
if [ "$(uname -m)" != x86_64 ]; then skip "the guest is x86_64, this machine is $(uname -m)"; fi
free_mib=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
if [ "$free_mib" -lt 3500 ]; then skip "the guest needs 3500 MiB of memory, $free_mib are free"; fi

build dev
status=0
tests/vm/run.sh build/dev || status=$?
# Also when the guest died half way: the programs that had ended by then count.
if [ -d build/dev/guest ]; then
  # shellcheck disable=SC2046  # three numbers
  count $(python3 $support/count_tests.py build/dev/guest)
fi
exit $status
