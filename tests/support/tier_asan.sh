#!/usr/bin/env bash
# about: unit, integration and hostile under AddressSanitizer and UndefinedBehaviorSanitizer
# packages: build test
# shellcheck source=tier.sh
. tests/support/tier.sh
discard_at_end asan
build asan
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
run_sanitized build/asan -L '^(unit|integration|hostile)$'
