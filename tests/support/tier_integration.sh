#!/usr/bin/env bash
# about: daemon, keeper, library and tools together (dev build)
# packages: build test
# shellcheck source=tier.sh
. tests/support/tier.sh
build dev
run_ctest build/dev -L '^integration$'
