#!/usr/bin/env bash
# about: a Gaudi card, $HLBUF_CARD or the only one; --drill also resets it (dev build, root)
# packages: build test
# optional: yes
# shellcheck source=tier.sh
. tests/support/tier.sh
if ! why=$(tests/hardware/run.sh --find 2>&1); then skip "$why"; fi
if [ "$(id -u)" != 0 ]; then skip "needs root"; fi
build dev
status=0
tests/hardware/run.sh build/dev "$results" || status=$?
# shellcheck disable=SC2046  # three numbers
count $(python3 $support/count_tests.py "$results")
if ! grep -qvE '^0 0 ' "$counts"; then skip "somebody has the card open; see $results/report.txt"; fi
echo "the report: $results/report.txt, $results/report.json"
exit $status
