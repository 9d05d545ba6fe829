#!/usr/bin/env bash
# about: the benchmarks, short: that they run, not how fast (release build)
# packages: build test
# shellcheck source=tier.sh
. tests/support/tier.sh

# Prints its table as it goes; the figures of such a short run on a shared machine are no test.
timeout 900 tests/bench/run.sh --quick --json "$results/bench.json"
check "the benchmarks' JSON is JSON" python3 -m json.tool "$results/bench.json"
check_all
