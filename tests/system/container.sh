#!/usr/bin/env bash
# Boots systemd in a container over this machine's own files, runs one command there, and ends as
# that command did.
set -euo pipefail

usage() {
  cat << 'U'
usage: tests/system/container.sh [-t SECONDS] [-d DIR] COMMAND...

Boots systemd as the first process of a container whose files are this machine's own, under an
overlay that is lost at the end, and runs COMMAND there as root, as a service, in the directory where
this was called. Prints its output while it runs. The kernel is this machine's, the network is none.
Needs root and the package systemd-container.

  -t SECONDS  limit from boot to end; 170
  -d DIR      kept: what the command wrote to /container/out, its `output`, the `console`

Exit status: the command's; 124 when the limit was reached; 125 when the container did not finish.
U
}

limit=170 directory=''
case ${1:-} in --help | -h) usage; exit 0 ;; esac
while getopts t:d: option; do
  case $option in
    t) limit=$OPTARG ;;
    d) directory=$OPTARG ;;
    *) usage >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
if [ $# -eq 0 ]; then usage >&2; exit 2; fi

write_job() {
  cat > "$directory/job" << J
#!/bin/bash
cd $(printf %q "$PWD") || exit 125
export HOME=/root HLBUF_CONTAINER_OUT=/container/out
$(printf '%q ' "$@")
echo \$? > /container/out/status
systemctl --force --force poweroff
J
  chmod +x "$directory/job"
  cat > "$directory/hlbuf-test.service" << 'U'
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/container/out/job
StandardOutput=append:/container/out/output
StandardError=inherit
TimeoutStartSec=infinity
U
  cat > "$directory/hlbuf-test.target" << 'U'
[Unit]
Requires=basic.target hlbuf-test.service
After=basic.target
AllowIsolate=yes
U
}

# A bind mount of / has none of the mounts below it: neither /proc nor /sys, nor somebody's /tmp.
# What this machine's administrator enabled is not started: only what the test target wants is. What
# is written below the present directory is lost as well.
boot() {
  local machine=hlbuf-test-$$ unit=/etc/systemd/system
  # Without that, /tmp would be empty there, and builds may lie in it.
  SYSTEMD_NSPAWN_TMPFS_TMP=0 timeout -k 5 "$limit" systemd-nspawn --quiet --register=no \
    --keep-unit --directory="$root" --volatile=overlay --private-network --machine="$machine" \
    --bind="$directory:/container/out" --overlay="$PWD::$PWD" \
    --bind-ro="$directory/hlbuf-test.service:$unit/hlbuf-test.service" \
    --bind-ro="$directory/hlbuf-test.target:$unit/hlbuf-test.target" \
    --bind-ro=/dev/null:/etc/tmpfiles.d/tmp.conf \
    --boot systemd.unit=hlbuf-test.target systemd.show_status=0 \
    systemd.mask=systemd-networkd.service \
    < /dev/null > "$directory/console" 2>&1 &
  nspawn=$!
  tail -n +1 -s 0.2 -f --pid=$nspawn "$directory/output"
  ended=0
  wait $nspawn || ended=$?
}

# Where its first process is no systemd, this machine keeps the container's empty control groups.
# shellcheck disable=SC2317  # called by the trap
remove_control_groups() {
  find /sys/fs/cgroup -depth -type d \( -path '*/payload/*' -o -path '*/supervisor/*' \
    -o -name payload -o -name supervisor \) -exec rmdir {} + 2> /dev/null || :
}

root='' temporary=''
# shellcheck disable=SC2317  # called by the trap
clean_up() {
  if [ -n "$root" ]; then umount "$root" && rmdir "$root"; fi
  if [ -n "$temporary" ]; then rm -rf "$temporary"; fi
  if [ ! -d /run/systemd/system ]; then remove_control_groups; fi
}
trap clean_up EXIT

if [ -z "$directory" ]; then
  temporary=$(mktemp -d)
  directory=$temporary
fi
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
# Two of them would be in one control group.
exec {lock}> /run/lock/hlbuf-container
flock "$lock"
rm -f "$directory/status"
: > "$directory/output"
write_job "$@"
mounted=$(mktemp -d)
mount --bind / "$mounted"
root=$mounted
boot

if [ -s "$directory/status" ]; then exit "$(cat "$directory/status")"; fi
echo "container.sh: the end of the console:" >&2
tail -n 25 "$directory/console" >&2
if [ "$ended" = 124 ] || [ "$ended" = 137 ]; then
  echo "container.sh: the limit of $limit s was reached" >&2
  exit 124
fi
echo "container.sh: the container ended before the command did" >&2
exit 125
