// SPDX-License-Identifier: Apache-2.0
#include "daemon/namespaces.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace hlbuf {
namespace {

// -1 is no id.
constexpr std::uint64_t kIds = UINT32_MAX;

// Empty where it cannot be read, which maps nothing.
std::string TextOf(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

bool MapsAllIds(absl::string_view map) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> outside;  // first, how many
  for (const absl::string_view line : absl::StrSplit(map, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    if (fields.size() != 3 || !absl::SimpleAtoi(fields[1], &first) ||
        !absl::SimpleAtoi(fields[2], &count))
      return false;
    outside.emplace_back(first, count);
  }
  std::sort(outside.begin(), outside.end());
  std::uint64_t mapped = 0;  // all below this
  for (const auto& [first, count] : outside)
    if (first <= mapped) mapped = std::max(mapped, first + count);
  return mapped >= kIds;
}

bool MapsAllIdsHere() {
  return MapsAllIds(TextOf("/proc/self/uid_map")) && MapsAllIds(TextOf("/proc/self/gid_map"));
}

bool InOwnPidNamespace() {
  constexpr ino_t kFirst = 0xEFFFFFFC;  // PROC_PID_INIT_INO of the kernel
  struct stat own = {};
  return ::stat("/proc/self/ns/pid", &own) == 0 && own.st_ino != kFirst;
}

}  // namespace hlbuf
