#!/usr/bin/env bash
# Builds everything and runs every tier of tests that this machine can run.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=support/packages.sh
. tests/support/packages.sh

all_tiers=(lint unit integration hostile client system asan tsan fuzz vm try bench)
# Only when they are named: these take long, or need what few machines have.
extra_tiers=(soak hardware)

usage() {
  cat << 'U'
usage: tests/run.sh [--list] [--fail-fast | --keep-going] [--drill] [TIER...]

Builds hl-bufd and runs the tiers named, or all but those marked with a star. As root on Debian 12
it first installs the packages that are missing. Builds go to build/PRESET; what a tier leaves, to
build/results. With CI=true the builds of asan and tsan, large ones, are removed behind their tiers.

  --list        the tiers, and the packages that each lacks here
  --fail-fast   stop at the first tier that fails; --keep-going, the default, runs the others
  --drill       the tier hardware may reset the card, which ends what others do with it

A tier that this machine cannot run is skipped and says why; with CI=true that is a failure, except
for hardware, and so is, anywhere, a tier that ran no test. The last line is the number of tests, of
all tiers together: `N passed, N failed`. The exit status is 0 only if none failed and some passed,
or if hardware was asked for, there is none, and nothing else ran.

A service in use is killed 100 times and reset 10 times in the tier integration, 10 and 2 times under
sanitizers, 1,000 and 100 times in the tier soak, and 20 and 5 times in the guest.

Environment: CI; HLBUF_FUZZ_SECONDS for the tier fuzz; HLBUF_KILLS and HLBUF_KILL_RESETS (in the
middle of those) instead of these numbers, but in the guest, which HLBUF_RESETS is for, in the tier
soak; HLBUF_CARD, a PCI address, for the tier hardware;
HLBUF_CACHE, where the guest's kernel lies.
Tiers:
U
  list_tiers
}

# header TIER KEY: the line `# KEY: value` of the tier's file.
header() { sed -n "s/^# $2: //p" "tests/support/tier_$1.sh"; }

packages_lacking() {
  local groups
  groups=$(header "$1" packages)
  # shellcheck disable=SC2086  # the groups are words
  missing_packages $groups | paste -sd ' '
}

list_tiers() {
  local tier
  for tier in "${all_tiers[@]}"; do printf '  %-12s %s\n' "$tier" "$(header "$tier" about)"; done
  for tier in "${extra_tiers[@]}"; do printf '* %-12s %s\n' "$tier" "$(header "$tier" about)"; done
}

list_tiers_and_packages() {
  local tier lacking
  for tier in "${all_tiers[@]}" "${extra_tiers[@]}"; do
    lacking=$(packages_lacking "$tier")
    printf '%-12s %s\n' "$tier" "$(header "$tier" about)"
    if [ -n "$lacking" ]; then printf '%-12s missing packages: %s\n' '' "$lacking"; fi
  done
}

unset HLBUF_DRILL  # by the option alone
fail_fast=no tiers=()
for argument; do
  case $argument in
    --help | -h) usage; exit 0 ;;
    --list) list_tiers_and_packages; exit 0 ;;
    --fail-fast) fail_fast=yes ;;
    --keep-going) fail_fast=no ;;
    --drill) export HLBUF_DRILL=1 ;;
    -*) usage >&2; exit 2 ;;
    *)
      if [ ! -e "tests/support/tier_$argument.sh" ]; then
        echo "run.sh: there is no tier '$argument'; tests/run.sh --list shows them" >&2
        exit 2
      fi
      tiers+=("$argument")
      ;;
  esac
done
if [ ${#tiers[@]} = 0 ]; then tiers=("${all_tiers[@]}"); fi

passed=0 failed=0 excused=no
summary=()

# conclude TIER SECONDS PASSED FAILED SKIPPED REMARK: adds a tier to the totals and to the table.
conclude() {
  passed=$((passed + $3))
  failed=$((failed + $4))
  summary+=("$(printf '%-12s %7s %7s %7s %6s s  %s' "$1" "$3" "$4" "$5" "$2" "$6")")
  echo "-- $1: $3 passed, $4 failed, $5 skipped in $2 s${6:+; $6}"
}

# conclude_skipped TIER SECONDS WHY. A tier with the line `# optional: yes` may be missing anywhere.
conclude_skipped() {
  if [ "$(header "$1" optional)" = yes ]; then
    excused=yes
    conclude "$1" "$2" 0 0 0 "skipped: $3"
  elif [ "${CI:-}" = true ]; then
    conclude "$1" "$2" 0 1 0 "could not run here: $3"
  else
    conclude "$1" "$2" 0 0 0 "skipped: $3"
  fi
}

# What a tier's exit status says beyond its counts: a tier may die before it has counted anything,
# and one without a test proves nothing.
conclude_run() {
  local tier=$1 seconds=$2 status=$3 ok bad skipped
  read -r ok bad skipped < <(awk '{ p += $1; f += $2; s += $3 }
    END { print p + 0, f + 0, s + 0 }' "$HLBUF_TIER_RESULTS/counts")
  if [ "$status" != 0 ] && [ "$bad" = 0 ]; then
    conclude "$tier" "$seconds" "$ok" 1 "$skipped" "ended with status $status"
  elif [ $((ok + bad)) = 0 ]; then
    conclude "$tier" "$seconds" 0 1 "$skipped" "ran no test"
  else
    conclude "$tier" "$seconds" "$ok" "$bad" "$skipped" ''
  fi
  if [ -s "$HLBUF_TIER_RESULTS/skipped_tests" ]; then
    sed 's/^/   skipped: /' "$HLBUF_TIER_RESULTS/skipped_tests"
  fi
}

run_tier() {
  local tier=$1 started=$SECONDS status=0 groups
  groups=$(header "$tier" packages)
  echo "== $tier: $(header "$tier" about)"
  export HLBUF_TIER_RESULTS=build/results/$tier
  rm -rf "$HLBUF_TIER_RESULTS"
  mkdir -p "$HLBUF_TIER_RESULTS"
  : > "$HLBUF_TIER_RESULTS/counts"
  # shellcheck disable=SC2086  # the groups are words
  if ! install_packages $groups; then
    conclude_skipped "$tier" $((SECONDS - started)) "missing packages: $(packages_lacking "$tier")"
    return
  fi
  bash "tests/support/tier_$tier.sh" < /dev/null || status=$?
  if [ $status = 77 ] && [ -e "$HLBUF_TIER_RESULTS/skipped" ]; then
    conclude_skipped "$tier" $((SECONDS - started)) "$(cat "$HLBUF_TIER_RESULTS/skipped")"
  else
    conclude_run "$tier" $((SECONDS - started)) $status
  fi
}

for tier in "${tiers[@]}"; do
  run_tier "$tier"
  if [ $failed != 0 ] && [ $fail_fast = yes ]; then break; fi
done

printf '\n%-12s %7s %7s %7s %8s\n' tier passed failed skipped time
printf '%s\n' "${summary[@]}"
if [ $passed = 0 ]; then echo "no test passed"; fi
echo "$passed passed, $failed failed"
[ $failed = 0 ] && { [ $passed != 0 ] || [ $excused = yes ]; }
