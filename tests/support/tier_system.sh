#!/usr/bin/env bash
# about: the service under systemd, in a container: activation, watchdog, reload, hardening (dev build)
# packages: build test container
# shellcheck source=tier.sh
. tests/support/tier.sh
if [ "$(id -u)" != 0 ]; then skip "a container needs root"; fi

build dev
status=0
tests/system/run.sh build/dev || status=$?
# Also when the container died half way: the programs that had ended by then count.
if [ -d build/dev/system ]; then
  # shellcheck disable=SC2046  # three numbers
  count $(python3 $support/count_tests.py build/dev/system)
fi
exit $status
