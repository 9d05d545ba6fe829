#!/usr/bin/env bash
# Holds the service and the rules that it leans on against a card, and reports.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

usage() {
  cat << 'U'
usage: tests/hardware/run.sh --find
       tests/hardware/run.sh BUILD_DIR RESULTS

Runs the programs of the tier `hardware` on one card and leaves RESULTS/report.json and report.txt.
Needs root and a card that nobody has open. Nobody can use the card meanwhile, and a Gaudi2 makes a
compute reset each time that it is closed. It is reset beyond that only with HLBUF_DRILL=1; then
every program on it is killed.

  --find  prints the card's PCI address and its directory in sysfs; fails, and says why, where there
          is none to use

Environment: HLBUF_CARD, the PCI address, where there are several; HLBUF_DRILL=1;
HLBUF_RESETS, how often a card in use is reset then, 3. Exit status: 0 when nothing has failed and no
rule was contradicted.
U
}

# Lines of `PCI DIRECTORY`.
cards() {
  local attribute
  for attribute in /sys/class/accel/accel*/device/pci_addr /sys/class/habanalabs/hl*/pci_addr; do
    if [ -r "$attribute" ]; then echo "$(cat "$attribute") $(dirname "$attribute")"; fi
  done
}

find_card() {
  local found
  found=$(cards)
  if [ -n "${HLBUF_CARD:-}" ]; then found=$(grep "^$HLBUF_CARD " <<< "$found" || :); fi
  case $(grep -c . <<< "$found") in
    0) echo "no card of the habanalabs driver${HLBUF_CARD:+ at $HLBUF_CARD}" >&2; return 1 ;;
    1) echo "$found" ;;
    *)
      echo "several cards, HLBUF_CARD has to name one: $(cut -d ' ' -f 1 <<< "$found" | paste -sd ' ')" >&2
      return 1
      ;;
  esac
}

# run_program NAME DIRECTORY: its result and what it said are left behind.
run_program() {
  local name=$1 status=0
  echo "running $name"
  timeout -k 5 1800 "$build/$2/$name" "--gtest_output=xml:$results/$name.xml" \
    > "$results/$name.log" 2>&1 < /dev/null || status=$?
  programs+=(--program "$name=$status")
  if [ $status != 0 ]; then
    failed=yes
    echo "$name ended with status $status; $results/$name.log:"
    tail -n 40 "$results/$name.log" | sed 's/^/    /'
  fi
}

case ${1:-} in
  --help | -h) usage; exit 0 ;;
  --find) find_card; exit ;;
esac
if [ $# != 2 ]; then usage >&2; exit 2; fi
if [ "$(id -u)" != 0 ]; then echo "run.sh: needs root" >&2; exit 2; fi
build=$(cd "$1" && pwd)
mkdir -p "$2"
results=$(cd "$2" && pwd)
read -r pci sysfs < <(find_card)
drill=()
if [ "${HLBUF_DRILL:-}" = 1 ]; then drill=(--drill); fi
export HLBUF_BUILD_DIR=$build HLBUF_CARD=$pci HLBUF_RESETS=${HLBUF_RESETS:-3}
failed=no programs=()
# What an earlier run left is not this one's.
rm -f "$results"/{card_rules,card_service,reset_load_guest}_test.{xml,log} "$results"/report.{json,txt}
run_program card_rules_test tests/hardware
run_program card_service_test tests/hardware
run_program reset_load_guest_test tests/vm
python3 -B "$here/report.py" --sysfs "$sysfs" --pci "$pci" "${drill[@]}" "${programs[@]}" "$results"
[ $failed = no ]
