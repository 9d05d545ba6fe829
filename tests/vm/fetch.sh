#!/usr/bin/env bash
# Downloads and unpacks the guest's kernel, and udev for it.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"

usage() {
  cat <<'U'
usage: tests/vm/fetch.sh [--headers] [--update]

Downloads the kernel of bookworm-backports with apt, from the mirror that this machine already
uses, and unpacks it into the cache; nothing is installed and the machine's package sources stay
as they are. Prints the kernel's version. Does nothing when the kernel is already there. So it does
with the udev that belongs to this machine's systemd; where the mirror has none, it says so and goes on.

  --headers  also the headers and tools that a kernel module is built with
  --update   the newest version, even when an older one is there

The cache is $HLBUF_CACHE, or hl-bufd in $XDG_CACHE_HOME, or ~/.cache/hl-bufd.
U
}

headers=no update=no
for argument; do
  case $argument in
    --headers) headers=yes ;;
    --update) update=yes ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

complete() {
  local version
  version=$(kernel_version)
  [ -n "$version" ] && [ -e "$kernel_root/boot/vmlinuz-$version" ] &&
    { [ $headers = no ] || [ -d "$kernel_root/usr/src/linux-headers-$version" ]; }
}

# The mirror behind bookworm's own packages. apt answers only from downloaded lists.
configured_mirror() {
  # shellcheck disable=SC2016  # for apt to expand
  apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' \
    'Component: main' 'Created-By: Packages' | head -n 1
}

mirror() {
  local found
  found=$(configured_mirror)
  if [ -z "$found" ] && [ "$(id -u)" = 0 ]; then
    apt-get -qq update
    found=$(configured_mirror)
  fi
  if [ -z "$found" ]; then
    say "apt knows no mirror for Debian bookworm; check its sources and run 'apt-get update'"
    return 1
  fi
  echo "$found"
}

# apt with sources, lists and downloads of its own, so that it needs no root.
private_apt() {
  local tool=$1
  shift
  "$tool" -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=- \
    -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User= \
    -o Acquire::Retries=3 -qq "$@"
}

# The version that the newest linux-image-amd64 stands for.
newest_version() {
  private_apt apt-cache show linux-image-amd64 | sed -n 's/^Depends: //p' |
    grep -oE 'linux-image-[^ ,]+' | head -n 1 | sed 's/^linux-image-//'
}

# systemd and udev are one source, and share a library that only the same version of both can use.
fetch_udev() {
  local version
  version=$(dpkg-query -W -f '${Version}' systemd)
  if [ "$(udev_version)" = "$version" ]; then return; fi
  rm -rf "$udev"
  mkdir -p "$udev"
  say "downloading udev $version"
  if (cd "$udev" && apt-get -qq -o APT::Sandbox::User= download "udev=$version"); then
    dpkg-deb -x "$udev"/udev_*.deb "$udev"
    rm "$udev"/udev_*.deb
    echo "$version" > "$udev/version"
  else
    say "there is no udev $version: what needs it is skipped"
  fi
}

mkdir -p "$cache"
exec 9> "$cache/fetch.lock"
flock 9
fetch_udev
if [ $update = no ] && complete; then
  kernel_version
  exit 0
fi

apt=$cache/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/debs"
uri=$(mirror)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri bookworm-backports main" \
  > "$apt/sources.list"
say "looking for the newest kernel of bookworm-backports"
private_apt apt-get update
version=$(newest_version)
if [ -z "$version" ]; then
  say "the mirror has no linux-image-amd64 in bookworm-backports"
  exit 1
fi

packages=("linux-image-$version")
if [ $headers = yes ]; then
  base=${version%-amd64}
  packages+=("linux-headers-$version" "linux-headers-$base-common" "linux-kbuild-$base")
fi
say "downloading ${packages[*]}"
(cd "$apt/debs" && private_apt apt-get download "${packages[@]}")
if [ "$(kernel_version)" != "$version" ]; then rm -rf "$kernel_root"; fi
for deb in "$apt"/debs/*.deb; do dpkg-deb -x "$deb" "$kernel_root"; done
rm -rf "$apt/debs"
echo "$version" > "$kernel_root/version"
kernel_version
