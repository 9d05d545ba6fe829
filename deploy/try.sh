#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows the main job of hl-bufd on this machine, in a temporary directory, and leaves nothing running.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")/.."
umask 022  # other users have to come to the sockets
# shellcheck source=../tests/support/packages.sh
. tests/support/packages.sh
# shellcheck source=../tests/support/ccache.sh
. tests/support/ccache.sh

usage() {
  cat <<'U'
usage: deploy/try.sh [--help] [--build-dir DIR]

Installs what building needs (Debian 12, root), builds into build/try, starts hl-bufd on its software device, and lets a
producer and a consumer, two users, share a buffer through it: refused, shared, opened, revoked by a simulated reset. The
service's sockets and configuration lie in a temporary directory; no account, group or unit is created.

Exit status: 0 everything went as it should.
U
}

build=build/try
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --build-dir) build=$(cd "$called_from" && realpath -m -- "${2:?--build-dir needs a directory}"); shift ;;
    *)
      echo "try.sh: unknown option '$1'" >&2
      usage >&2
      exit 2
      ;;
  esac
  shift
done

# Ids that need no account: the kernel takes any.
producer_uid=4201 consumer_uid=4202 clients_gid=4200
deadline_s=20

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
die() { printf 'try.sh: %s\n' "$*" >&2; exit 1; }

build_it() {
  use_ccache
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DBUILD_TESTING=OFF > /dev/null
  cmake --build "$build"
}

# wait_for FILE PATTERN: until a line of FILE matches, which is printed.
wait_for() {
  # Not a pipeline: tail ends by SIGPIPE, which is no failure.
  grep -m 1 -- "$2" < <(timeout "$deadline_s" tail -n +1 -F "$1" --pid=$$ 2> /dev/null) ||
    die "no line with '$2' appeared in $1: $(cat "$1")"
}

as_user() {
  local uid=$1
  shift
  setpriv --reuid "$uid" --regid "$uid" --groups "$clients_gid" "$@"
}

# ended PID NAME: it ends by itself, well.
ended() {
  timeout "$deadline_s" tail -f /dev/null --pid="$1" || die "$2 does not end"
  wait "$1" || die "$2 ended with an error"
}

start_service() {
  cat > "$dir/hl-bufd.toml" <<T
[sockets]
client = "$dir/client/buf.sock"
control = "$dir/control/control.sock"
clients_group = $clients_gid
T
  "$bin/daemon/hl-bufd" --config "$dir/hl-bufd.toml" 2> "$dir/service.log" &
  service=$!
  wait_for "$dir/service.log" 'clients connect to'
}

stop_everything() {
  local pid
  for pid in ${producer:-} ${consumer:-} ${service:-}; do
    kill "$pid" 2> /dev/null || continue
    timeout "$deadline_s" tail -f /dev/null --pid="$pid" || kill -KILL "$pid"
  done
  rm -rf "$dir"
}

if [ "$(id -u)" != 0 ]; then die "run it as root: it shows two users, and may have to install packages"; fi
say "building (the first time takes some minutes)"
install_packages build
build_it
bin=$(cd "$build" && pwd)
dir=$(mktemp -d /tmp/hl-bufd-try.XXXXXX)
chmod 755 "$dir"
trap stop_everything EXIT
# Other users may not be able to enter the directory of the sources.
install -m 755 "$bin"/client/hlbuf-{producer,consumer} "$bin"/client/libhlbuf.so.0 "$dir"
export LD_LIBRARY_PATH=$dir
export HLBUF_SOCKET=$dir/client/buf.sock HLBUF_CONTROL=$dir/control/control.sock
ctl=$bin/client/ctl/hl-bufctl

say "starting hl-bufd: no accelerator and no device configured, so there is a software device"
start_service

say "uid $producer_uid allocates a buffer and writes into it"
mkfifo "$dir/orders"
as_user $producer_uid "$dir/hlbuf-producer" --name weights "hello from uid $producer_uid" \
  < "$dir/orders" > "$dir/producer.log" 2>&1 &
producer=$!
exec 3> "$dir/orders"
wait_for "$dir/producer.log" '^buffer'

say "uid $consumer_uid wants to read it, and is refused"
if as_user $consumer_uid "$dir/hlbuf-consumer" --name weights --owner $producer_uid > "$dir/refused.log" 2>&1; then
  die "it should have been refused"
fi
cat "$dir/refused.log"
grep -q "rule 'nothing-matched'" "$dir/refused.log" || die "the refusal does not name the rule"

say "uid $producer_uid shares it with uid $consumer_uid, who opens it and reads the same bytes"
echo "share uid $consumer_uid" >&3
wait_for "$dir/producer.log" '^shared'
as_user $consumer_uid "$dir/hlbuf-consumer" --name weights --owner $producer_uid > "$dir/consumer.log" 2>&1 &
consumer=$!
wait_for "$dir/consumer.log" "hello from uid $producer_uid"

say "hl-bufctl shows who holds what"
"$ctl" devices
"$ctl" buffers
"$ctl" leases

say "a simulated reset asks everything back; both let go; the verdicts:"
"$ctl" simulate-reset software0
wait_for "$dir/producer.log" '^revoked'
wait_for "$dir/consumer.log" '^revoked'
ended "$producer" "the producer"
ended "$consumer" "the consumer"
producer='' consumer=''

say "stopping hl-bufd"
kill "$service"
ended "$service" "hl-bufd"
service=''
say "done: $(grep -c . "$dir/service.log") lines of log, nothing left behind"
