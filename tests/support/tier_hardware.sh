#!/usr/bin/env bash
# about: a Gaudi card, $HLBUF_CARD or the only one; --drill also resets it (dev build, root)
# packages: build test
# optional: yes
# shellcheck source=tier.sh
. tests/support/tier.sh
if ! why=$(tests/hardware/run.sh --find 2>&1); then skip "$why"; fi
if [ "$(id -u)" != 0 ]; then skip "needs root"; fi
build dev
# Lines: `PASSED FAILED SKIPPED`, and why the first that was skipped was.
told() {
  python3 - "$results/report.json" << 'P'
import json, sys
report = json.load(open(sys.argv[1]))
print(*(report['tests'][outcome] for outcome in ('passed', 'failed', 'skipped')))
reasons = [rule['evidence'] for rule in report['rules']] + [s['why'] for s in report['scenarios']]
print(next((' '.join(reason.split()) for reason in reasons if reason), 'no test ran'))
P
}

status=0
tests/hardware/run.sh build/dev "$results" || status=$?
if [ ! -e "$results/report.json" ]; then exit $((status == 0 ? 1 : status)); fi
{ read -r passed failed skipped && read -r why; } < <(told)
count "$passed" "$failed" "$skipped"
echo "the report: $results/report.txt, $results/report.json"
if [ $status = 0 ] && [ "$passed" = 0 ] && [ "$failed" = 0 ]; then skip "$why"; fi
exit $status
