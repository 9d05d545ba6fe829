#!/usr/bin/env bash
# about: 1,000 kills of a service in use, here; 20 in the guest, and a card that is reset 1,000 times
# packages: build test guest
# shellcheck source=tier.sh
. tests/support/tier.sh
need_guest
build dev
status=0
limit=14400  # seconds; a reset takes one or two

# Not by ctest: its --timeout is no more than a default, and this test has a limit of its own there.
soak_here() {
  local result=$results/gtest/kill_soak_test status=0
  mkdir -p "$results/gtest"
  HLBUF_BUILD_DIR=$PWD/build/dev HLBUF_SOURCE_DIR=$PWD HLBUF_KILLS=${HLBUF_KILLS:-1000} \
    HLBUF_KILL_RESETS=${HLBUF_KILL_RESETS:-100} timeout -k 5 $limit \
    build/dev/tests/soak/kill_soak_test "--gtest_output=xml:$result.xml" > "$result.log" 2>&1 ||
    status=$?
  if [ $status != 0 ]; then tail -n 60 "$result.log"; fi
  if [ -e "$result.xml" ]; then
    # shellcheck disable=SC2046  # three numbers
    count $(python3 $support/count_tests.py --skipped "$skips" "$result.xml")
  else
    echo "kill_soak_test ended with status $status and no result"
    count 0 1 0
  fi
  return $status
}

soak_here || status=$?
run_guest -t $limit -e HLBUF_KILLS=20 -e HLBUF_KILL_RESETS=6 -e HLBUF_PROGRAM_LIMIT=$limit \
  -e "HLBUF_RESETS=${HLBUF_RESETS:-1000}" build/dev kill_soak_guest_test reset_load_guest_test \
  crash_udmabuf_guest_soak || status=$?
exit $status
