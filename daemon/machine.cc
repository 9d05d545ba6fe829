// SPDX-License-Identifier: Apache-2.0
#include "daemon/machine.h"

#include <grp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "daemon/namespaces.h"

namespace hlbuf {
namespace {

std::optional<gid_t> FindGroup(const std::string& name) {
  group entry = {};
  group* found = nullptr;
  std::vector<char> strings(1024);
  // A group with many members needs more room; how much, nobody says.
  constexpr std::size_t kRoomMax = std::size_t{1} << 20;
  while (getgrnam_r(name.c_str(), &entry, strings.data(), strings.size(), &found) == ERANGE &&
         strings.size() < kRoomMax)
    strings.resize(strings.size() * 2);
  if (found == nullptr) return std::nullopt;
  return found->gr_gid;
}

std::uint64_t MemoryBytes() {
  const std::int64_t pages = sysconf(_SC_PHYS_PAGES);
  const std::int64_t page_bytes = sysconf(_SC_PAGESIZE);
  return static_cast<std::uint64_t>(std::max<std::int64_t>(pages, 0)) *
         static_cast<std::uint64_t>(std::max<std::int64_t>(page_bytes, 0));
}

}  // namespace

Machine ThisMachine() {
  rlimit files = {};
  // Cannot fail: the resource is known and the pointer good.
  (void)getrlimit(RLIMIT_NOFILE, &files);
  return {.nofile = files.rlim_max,
          .memory_bytes = MemoryBytes(),
          .maps_all_ids = MapsAllIdsHere(),
          .find_group = FindGroup};
}

}  // namespace hlbuf
