#!/usr/bin/env bash
# about: the guest: a card in use is reset 1,000 times, or $HLBUF_RESETS (dev build, QEMU; an hour)
# packages: build test guest
# shellcheck source=tier.sh
. tests/support/tier.sh
need_guest
build dev
limit=14400  # seconds; a reset takes one or two
run_guest -t $limit -e "HLBUF_RESETS=${HLBUF_RESETS:-1000}" -e HLBUF_PROGRAM_LIMIT=$limit \
  build/dev reset_load_guest_test
