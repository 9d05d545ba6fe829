#!/usr/bin/env bash
# Boots the guest, runs one command in it, and ends as that command did.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=env.sh
. "$here/env.sh"

usage() {
  cat <<'U'
usage: tests/vm/guest.sh [-t SECONDS] [-m MIB] [-d DIR] [-a ARGUMENTS] [-q ARGUMENTS] COMMAND...

Boots Debian's kernel under QEMU with this machine's own files (read-only, under an overlay that
is lost at the end) and runs COMMAND there as root, as a systemd service, in the directory where
this was called. Prints its output while it runs and exits with its status.

  -t SECONDS    limit from boot to end; 300
  -m MIB        memory; 3072
  -d DIR        kept: what the command wrote to /guest/out, its `output`, the `console`
  -a ARGUMENTS  for the kernel, as in -a 'udmabuf.size_limit_mb=1024 udmabuf.list_limit=4096'
  -q ARGUMENTS  for QEMU, more devices for instance

Exit status: the command's; 124 when the limit was reached; 125 when the guest did not finish.
Environment: HLBUF_GUEST_ACCEL=tcg keeps it from using KVM.
U
}

limit=300 memory=3072 directory='' kernel_arguments='' qemu_arguments=''
case ${1:-} in --help | -h) usage; exit 0 ;; esac
while getopts t:m:d:a:q: option; do
  case $option in
    t) limit=$OPTARG ;;
    m) memory=$OPTARG ;;
    d) directory=$OPTARG ;;
    a) kernel_arguments=$OPTARG ;;
    q) qemu_arguments=$OPTARG ;;
    *) usage >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
if [ $# -eq 0 ]; then usage >&2; exit 2; fi

tcg=tcg,thread=multi,tb-size=512
# /dev/kvm alone says little: it also exists where no ordinary kernel can run under it.
accelerator() {
  if [ -n "${HLBUF_GUEST_ACCEL:-}" ]; then
    echo "$HLBUF_GUEST_ACCEL"
  elif [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
    echo kvm
  else
    echo $tcg
  fi
}

# The service that the guest starts. Its last act is a write to QEMU's exit port, which spares a
# shutdown; poweroff is for the case that nothing listens there. Beside a busy machine a kernel now
# and then misjudges how fast its clock is, and every deadline in it is wrong: it ends at once, and
# is booted again. The host's clock shows in the times of files there.
write_job() {
  cat > "$directory/job" << J
#!/bin/bash
end() {
  head -c 1 /dev/zero | dd of=/dev/port bs=1 seek=1281 count=1 conv=notrunc 2> /dev/null
  systemctl --force --force poweroff
}
host_ms() {
  echo . > /guest/out/clock
  stat -c %.3Y /guest/out/clock | tr -d .
}
begin=\$(host_ms)
sleep 1
if [ \$((\$(host_ms) - begin)) -lt 700 ]; then
  echo "<3>guest-init: the clock runs too fast" > /dev/kmsg
  end
fi
: > /guest/out/started
cd $(printf %q "$PWD") || exit 125
export HOME=/root HLBUF_GUEST_OUT=/guest/out
$(printf '%q ' "$@")
echo \$? > /guest/out/status
end
J
  chmod +x "$directory/job"
}

qemu_command() {
  local version share
  version=$(kernel_version)
  share=security_model=none
  # shellcheck disable=SC2054  # QEMU's own commas
  qemu=(timeout -k 5 "$limit" qemu-system-x86_64 -M q35 -accel "$1"
    # x86-64-v2: more CPU features only make emulation slower.
    -cpu Nehalem -smp 2 -m "$memory" -nodefaults -no-user-config -display none -no-reboot
    -serial "file:$directory/console" -device isa-debug-exit,iobase=0x501,iosize=1
    -fsdev "local,id=root,path=/,$share,readonly=on,multidevs=remap"
    -device virtio-9p-pci,fsdev=root,mount_tag=hostroot
    -fsdev "local,id=out,path=$directory,$share"
    -device virtio-9p-pci,fsdev=out,mount_tag=guestout
    -kernel "$boot/vmlinux" -initrd "$boot/initramfs.cpio"
    -append "console=ttyS0 quiet loglevel=4 panic=-1 oops=panic mitigations=off nokaslr audit=0
      apparmor=0 selinux=0 random.trust_cpu=on tsc=reliable systemd.unit=hlbuf-guest.target
      systemd.show_status=0 hlbuf.modules=$kernel_root/lib/modules/$version $kernel_arguments")
  # Word splitting is what -q is for.
  # shellcheck disable=SC2206
  qemu+=($qemu_arguments)
}

# Returns when the job has begun or QEMU has ended. Ten seconds are usual; a guest that needs
# more than `boot_limit` hangs, and is ended.
boot_limit=150
wait_for_job() {
  local until=$((SECONDS + boot_limit))
  while [ ! -e "$directory/started" ] && kill -0 "$qemu_pid" 2> /dev/null; do
    if [ $SECONDS -ge $until ]; then
      kill "$qemu_pid"
      return
    fi
    sleep 0.1
  done
}

# Boots once, with the job's output shown as it comes. Leaves QEMU's exit status in `ended`.
boot_once() {
  rm -f "$directory"/{started,status}
  : > "$directory/output"
  qemu_command "$1"
  "${qemu[@]}" < /dev/null 2> "$directory/qemu.log" &
  qemu_pid=$!
  wait_for_job
  tail -n +1 -s 0.2 -f --pid="$qemu_pid" "$directory/output"
  ended=0
  wait "$qemu_pid" || ended=$?
  qemu_pid=''
}

timed_out() { [ "$ended" = 124 ] || [ "$ended" = 137 ]; }  # 137: QEMU ignored the first signal

show_console() {
  say "the end of the guest's console:"
  tail -n 25 "$directory/console" "$directory/qemu.log" >&2
}

qemu_pid=''
# shellcheck disable=SC2317  # called by the trap
clean_up() {
  if [ -n "$qemu_pid" ]; then kill "$qemu_pid" 2> /dev/null || :; fi
  if [ -n "$temporary" ]; then rm -rf "$temporary"; fi
}
temporary=''
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

"$here/prepare.sh"
if [ -z "$directory" ]; then
  temporary=$(mktemp -d "$cache/guest.XXXXXX")
  directory=$temporary
fi
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
write_job "$@"

accel=$(accelerator)
for attempt in 1 2 3; do
  boot_once "$accel"
  # Once in some forty boots an emulated kernel dies while it patches its own code. What died
  # before the job began has tested nothing, and may be tried again.
  if [ -e "$directory/started" ] || timed_out; then break; fi
  reason=$(grep -aoEm 1 'guest-init: .*|Oops.*|BUG: .*|Kernel panic.*' "$directory/console" || :)
  say "the guest did not come up (attempt $attempt of 3)${reason:+: $reason}"
  accel=$tcg
done

if [ -s "$directory/status" ]; then exit "$(cat "$directory/status")"; fi
show_console
if timed_out; then
  say "the limit of $limit s was reached"
  exit 124
fi
say "the guest ended before the command did"
exit 125
