#!/usr/bin/env bash
# Builds the stand-in for the habanalabs driver, and the importer, for the guest's kernel.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../env.sh
. "$here/../env.sh"

usage() {
  cat << 'U'
usage: tests/vm/hlsim/build.sh DIR

Fetches the headers of the guest's kernel if they are not in the cache, and makes
DIR/habanalabs.ko and DIR/hlimport.ko from the sources beside this script. Needs gcc-12, make and
libelf1. Does nothing, fast, when both are up to date.
U
}

case ${1:-} in
  --help | -h) usage; exit 0 ;;
  '' | -*) usage >&2; exit 2 ;;
esac
mkdir -p "$1"
out=$(cd "$1" && pwd)

version=$("$here/../fetch.sh" --headers)
stamp="$version $(cat "$here"/{Kbuild,build.sh,*.c,*.h} | sha256sum)"
if [ "$(cat "$out/stamp" 2> /dev/null)" = "$stamp" ] && [ -e "$out/habanalabs.ko" ] &&
  [ -e "$out/hlimport.ko" ]; then exit 0; fi

# The headers' Makefile names its other half in /usr/src, where it is not: a Makefile of our own
# does instead, in a directory that links to the rest.
headers=$kernel_root/usr/src/linux-headers-$version
common=$kernel_root/usr/src/linux-headers-${version%-amd64}-common
kbuild=$out/kbuild
rm -rf "$kbuild" "$out/source" "$out/stamp"
mkdir -p "$kbuild" "$out/source"
for file in "$headers"/{*,.config,.kernelvariables}; do
  case $(basename "$file") in
    Makefile | scripts | tools | vmlinux) ;;
    *) ln -s "$file" "$kbuild/" ;;
  esac
done
ln -s "$kernel_root/usr/lib/linux-kbuild-${version%-amd64}"/{scripts,tools} "$kbuild/"
echo "include $common/Makefile" > "$kbuild/Makefile"

cp "$here"/{Kbuild,*.c,*.h} "$out/source/"
say "building the stand-in for the habanalabs driver"
warnings="-Werror -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers"
if ! make -s -C "$kbuild" M="$out/source" KCFLAGS="$warnings" modules > "$out/log" 2>&1; then
  cat "$out/log" >&2
  exit 1
fi
# The guest reads them through its shared root, slowly; the kernel has no use for debug information.
strip --strip-debug "$out"/source/{habanalabs,hlimport}.ko
mv "$out"/source/{habanalabs,hlimport}.ko "$out/"
echo "$stamp" > "$out/stamp"
