#!/usr/bin/env bash
# about: the guest: real dma-bufs, debugfs, vgem, several users (dev build, QEMU)
# packages: build test guest
# shellcheck source=tier.sh
. tests/support/tier.sh
need_guest
build dev
run_guest build/dev
