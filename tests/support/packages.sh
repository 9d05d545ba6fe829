# shellcheck shell=bash
# The Debian 12 packages that hl-bufd needs, by what they are needed for: the one list of them.
# To be sourced.
#
#   build      compiling the daemon, the client library and the tools
#   test       compiling and running the tests
#   lint       the checks that read the sources
#   fuzz       libFuzzer
#   container  systemd as the first process of a container
#   guest      booting a kernel with real dma-bufs, and building modules for it

packages_of() {
  local group
  for group; do
    case $group in
      build) echo gcc g++ cmake ninja-build pkg-config ccache libabsl-dev libgrpc++-dev \
        libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libsystemd-dev \
        libssl-dev libtomlplusplus-dev libcli11-dev libxxhash-dev ;;
      test) echo git libgtest-dev libbenchmark-dev librapidcheck-dev openssl python3 util-linux ;;
      lint) echo clang-format git shellcheck python3 ;;
      fuzz) echo clang libclang-rt-14-dev ;;
      container) echo systemd systemd-container ;;
      guest) echo systemd qemu-system-x86 busybox-static cpio kmod zstd xz-utils python3 \
        gcc-12 binutils make libelf1 ;;
      *) echo "packages.sh: there is no group '$group'" >&2; return 2 ;;
    esac
  done
}

# Prints those packages of the groups that are not installed, one a line.
missing_packages() {
  local package list
  list=$(packages_of "$@") || return
  for package in $list; do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" != installed ]; then
      echo "$package"
    fi
  done | sort -u
}

# Installs what is missing; needs root. Without root, fails and says what an administrator is to
# install.
install_packages() {
  local missing
  missing=$(missing_packages "$@") || return
  if [ -z "$missing" ]; then return 0; fi
  # The names are words, on one line.
  missing=${missing//$'\n'/ }
  if [ "$(id -u)" != 0 ]; then
    echo "not root, and these packages are missing: $missing" >&2
    return 1
  fi
  echo "installing $missing"
  local apt=(apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0)
  "${apt[@]}" update
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends $missing > /dev/null
}
