#!/usr/bin/env bash
# about: each class alone, and the fuzz corpora once (dev build)
# packages: build test
# shellcheck source=tier.sh
. tests/support/tier.sh
build dev
run_ctest build/dev -L '^unit$'
