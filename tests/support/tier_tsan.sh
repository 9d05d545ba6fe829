#!/usr/bin/env bash
# about: the tests with threads (label tsan) under ThreadSanitizer
# packages: build test
# shellcheck source=tier.sh
. tests/support/tier.sh
discard_at_end tsan
build tsan tsan_tests
run_sanitized build/tsan -L '^tsan$'
