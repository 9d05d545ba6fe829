// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/credentials.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {
namespace {

constexpr std::uint64_t kDacOverride = 1 << 1;
constexpr int kGroupsMax = 1024;

// The effective one of "real effective saved filesystem".
bool ReadEffective(absl::string_view status, absl::string_view key, std::uint32_t& id) {
  const std::vector<std::string> ids =
      absl::StrSplit(ValueIn(status, key), absl::ByAnyChar("\t "), absl::SkipEmpty());
  return ids.size() >= 2 && absl::SimpleAtoi(ids[1], &id);
}

}  // namespace

std::optional<Credentials> CredentialsIn(absl::string_view status) {
  Credentials who;
  std::uint64_t capabilities = 0;
  if (!ReadEffective(status, "Uid:", who.uid) || !ReadEffective(status, "Gid:", who.gid) ||
      !absl::SimpleHexAtoi(ValueIn(status, "CapEff:"), &capabilities))
    return std::nullopt;
  for (const absl::string_view word :
       absl::StrSplit(ValueIn(status, "Groups:"), ' ', absl::SkipEmpty()))
    if (gid_t group = 0; absl::SimpleAtoi(word, &group)) who.groups.push_back(group);
  who.overrides_modes = (capabilities & kDacOverride) != 0;
  return who;
}

std::optional<Credentials> CredentialsOf(const std::string& user) {
  const passwd* const entry = ::getpwnam(user.c_str());
  if (entry == nullptr) return std::nullopt;
  Credentials who{.uid = entry->pw_uid, .gid = entry->pw_gid};
  who.groups.resize(kGroupsMax);
  int count = kGroupsMax;
  if (::getgrouplist(user.c_str(), who.gid, who.groups.data(), &count) < 0) count = 0;
  who.groups.resize(static_cast<std::size_t>(count));
  who.source = absl::StrCat("user ", user, ", uid ", who.uid);
  return who;
}

bool MayOpen(const Credentials& who, const DeviceFile& file) {
  if (who.overrides_modes) return true;
  const bool in_group = who.gid == file.gid || std::find(who.groups.begin(), who.groups.end(),
                                                         file.gid) != who.groups.end();
  const unsigned shift = who.uid == file.uid ? 6 : in_group ? 3 : 0;
  return (file.mode >> shift & 06) == 06;
}

}  // namespace hlbuf::ctl::doctor
