#!/usr/bin/env bash
# about: 100 kills of a service in use, here; 20 in the guest, and a card that is reset 1,000 times
# packages: build test guest
# shellcheck source=tier.sh
. tests/support/tier.sh
need_guest
build dev
status=0
limit=14400  # seconds; a reset takes one or two
HLBUF_KILLS=${HLBUF_KILLS:-100} HLBUF_KILL_RESETS=${HLBUF_KILL_RESETS:-10} \
  run_ctest build/dev --timeout $limit -R '^kill_soak_test$' || status=$?
run_guest -t $limit -e HLBUF_KILLS=20 -e HLBUF_KILL_RESETS=6 -e HLBUF_PROGRAM_LIMIT=$limit \
  -e "HLBUF_RESETS=${HLBUF_RESETS:-1000}" build/dev kill_soak_guest_test reset_load_guest_test ||
  status=$?
exit $status
