#!/usr/bin/env bash
# about: the guest: real dma-bufs, debugfs, vgem, several users (dev build, QEMU)
# packages: build test guest
# shellcheck source=tier.sh
. tests/support/tier.sh
need_guest
build dev
status=0
run_guest build/dev || status=$?
# What tests/bench/run.sh takes from them; a figure that is gone would be noticed by nobody.
check "reset_completes, reset_leaks, export_ratio, holders_found are recorded" \
  python3 -B tests/bench/recorded_rows.py --require --rows resets,export,holders build/dev/guest
check_all || status=1
exit $status
