// SPDX-License-Identifier: Apache-2.0
// In a user namespace that leaves ids out, numbers and names of users are not the host's.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "daemon/config.h"
#include "tests/support/fake_machine.h"

namespace hlbuf {
namespace {

absl::Status Parse(absl::string_view text) {
  Machine machine = FakeMachine();
  machine.maps_all_ids = false;
  return ParseConfig(text, "f.toml", machine).status();
}

TEST(ForeignIds, AreRefusedInRules) {
  constexpr absl::string_view kRule = "[[rule]]\nname = \"r\"\neffect = \"allow\"\n";
  for (const char* key : {"uids = [1000]", "groups = [\"operators\"]"}) {
    const absl::Status refused = Parse(absl::StrCat(kRule, key, "\n"));
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << key;
    EXPECT_TRUE(absl::StrContains(refused.message(), "f.toml:4:")) << refused;
    EXPECT_TRUE(absl::StrContains(refused.message(), "user namespace leaves ids out")) << refused;
  }
  EXPECT_TRUE(Parse(kRule).ok()) << "it is about nobody in particular";
}

TEST(ForeignIds, AreRefusedInRoles) {
  for (const char* key : {"viewer", "operator", "admin"})
    EXPECT_TRUE(
        absl::StrContains(Parse(absl::StrCat("[roles]\n", key, " = [\"operators\"]\n")).message(),
                          absl::StrCat("roles.", key, ": the service's user namespace")));
}

TEST(ForeignIds, AreNotNeededForTheRest) { EXPECT_TRUE(Parse("[log]\nlevel = \"debug\"\n").ok()); }

}  // namespace
}  // namespace hlbuf
