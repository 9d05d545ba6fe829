#!/usr/bin/env bash
# about: the tests with threads (label tsan) under ThreadSanitizer
# packages: build test
# shellcheck source=tier.sh
. tests/support/tier.sh
build tsan tsan_tests
run_sanitized tsan -L '^tsan$'
