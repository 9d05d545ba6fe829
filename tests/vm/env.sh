# shellcheck shell=bash
# Where the guest's files are. Everything that is downloaded or generated lies in one cache
# directory outside the source tree; removing it costs one download.
cache=${HLBUF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hl-bufd}
kernel_root=$cache/kernel  # the kernel packages, unpacked; its file `version` is written last
# shellcheck disable=SC2034  # for those who source this
boot=$cache/boot  # vmlinux and initramfs made from them

# The version of the unpacked kernel; nothing when there is none.
kernel_version() {
  if [ -e "$kernel_root/version" ]; then cat "$kernel_root/version"; fi
}

# shellcheck disable=SC2034
udev=$cache/udev  # the package of this machine's systemd, unpacked; its file `version` is written last

# The version of the unpacked udev; nothing when there is none.
udev_version() {
  if [ -e "$udev/version" ]; then cat "$udev/version"; fi
}

# say WHAT: a line for people, kept apart from the output of what runs in the guest.
say() { echo "$(basename "$0"): $*" >&2; }
