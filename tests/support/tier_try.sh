#!/usr/bin/env bash
# about: deploy/try.sh, the first minutes of a newcomer, from build to a drill
# packages: build test
# shellcheck source=tier.sh
. tests/support/tier.sh
check "deploy/try.sh" timeout 900 deploy/try.sh
check_all
