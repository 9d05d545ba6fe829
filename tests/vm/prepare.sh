#!/usr/bin/env bash
# Makes what QEMU boots from the unpacked kernel packages.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=env.sh
. "$here/env.sh"

if [ $# -gt 0 ]; then
  cat <<'U'
usage: tests/vm/prepare.sh

Fetches the guest's kernel if it is not there yet, indexes its modules and makes vmlinux and the
initramfs in the cache. Does nothing, fast, when all of it is up to date.
U
  case $1 in --help | -h) exit 0 ;; *) exit 2 ;; esac
fi

# What the initramfs loads before the root file system exists; modprobe adds what these need.
boot_modules=(9pnet_virtio 9p overlay)

# The bzImage's zstd payload is an ELF kernel with a PVH entry: booted as it is, it saves a
# decompression under emulation.
extract_vmlinux() {
  python3 - "$kernel_root/boot/vmlinuz-$version" "$boot/vmlinux" << 'P'
import subprocess
import sys

image = open(sys.argv[1], 'rb').read()
setup_sectors = (image[0x1f1] or 4) + 1
start = setup_sectors * 512 + int.from_bytes(image[0x248:0x24c], 'little')
length = int.from_bytes(image[0x24c:0x250], 'little') - 4  # the last 4 bytes are a size
kernel = subprocess.run(['zstd', '-dcq'], input=image[start:start + length],
                        stdout=subprocess.PIPE, check=True).stdout
if kernel[:4] != b'\x7fELF':
    sys.exit(f'{sys.argv[1]}: the payload is not an ELF kernel')
open(sys.argv[2], 'wb').write(kernel)
P
}

# Lists the files of the boot modules in the order in which they must be loaded.
boot_module_files() {
  local module
  for module in "${boot_modules[@]}"; do
    modprobe -d "$kernel_root" -S "$version" --show-depends "$module"
  done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

make_initramfs() {
  local tree file
  tree=$(mktemp -d "$boot/initramfs.XXXXXX")
  mkdir -p "$tree"/{bin,proc,sys,dev,modules,lower,upper,newroot}
  cp "$(command -v busybox)" "$tree/bin/busybox"
  install -m 755 "$here/guest-init" "$tree/init"
  while read -r file; do
    xz -dc "$file" > "$tree/modules/$(basename "$file" .xz)"
    basename "$file" .xz >> "$tree/modules/order"
  done < <(boot_module_files)
  (cd "$tree" && find . | cpio -o -H newc --quiet) > "$boot/initramfs.cpio"
  rm -rf "$tree"
}

version=$("$here/fetch.sh")
mkdir -p "$boot"
exec 9> "$boot/lock"
flock 9
stamp="$version $(cat "$here/prepare.sh" "$here/guest-init" | sha256sum)"
if [ "$(cat "$boot/stamp" 2> /dev/null)" = "$stamp" ] &&
  [ -e "$kernel_root/lib/modules/$version/modules.dep" ]; then exit 0; fi
say "making the guest of kernel $version"
depmod -b "$kernel_root" "$version"
extract_vmlinux
make_initramfs
echo "$stamp" > "$boot/stamp"
