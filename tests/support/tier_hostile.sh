#!/usr/bin/env bash
# about: peers that lie, stall, leak and die (dev build)
# packages: build test
# shellcheck source=tier.sh
. tests/support/tier.sh
build dev
run_ctest build/dev -L '^hostile$'
