#!/usr/bin/env bash
# about: the benchmarks, short: that they run, not how fast (release build)
# packages: build test
# shellcheck source=tier.sh
. tests/support/tier.sh

descriptors=$(ulimit -Hn)
if [ "$descriptors" != unlimited ] && [ "$descriptors" -lt 20000 ]; then
  skip "the rows of many buffers take 20,000 descriptors, ulimit -Hn is $descriptors"
fi

# Each figure is there, and is one: at least 0, finite, between its quartiles.
check_figures() {
  python3 - "$1" << 'P'
import json, math, sys
figures = json.load(open(sys.argv[1]))
keys = """open_p50_ratio batch64_fds_ratio alloc_ratio sessions_1000_ratio buffers_15k_ratio anon_bytes_per_buffer
core_100k_ratio journal_ns_per_grant revoke_10k_ratio floor_p50_us open_p50_us open_p99_us""".split()
wrong = [k for key in keys for k in (key, key + "_unpinned")
         if not (math.isfinite(figures.get(k, math.nan)) and figures[k] > 0
                 and figures[k + "_q1"] <= figures[k] <= figures[k + "_q3"])]
sys.exit(f"missing, or no figure: {wrong}" if wrong else 0)
P
}

# Prints its table as it goes; the figures of such a short run on a shared machine are no test.
timeout 900 tests/bench/run.sh --quick --json "$results/bench.json"
check "each row has its figures" check_figures "$results/bench.json"
check "the core's own benchmark runs" \
  build/release/tests/bench/core_bench --benchmark_min_time=0.01
check_all
