// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/cgroup.h"

#include <gtest/gtest.h>

#include <string>

namespace hlbuf {
namespace {

const std::string kId(64, 'a');

TEST(Cgroup, FindsTheUnitOfAService) {
  const CgroupPlace place = ParseCgroup("0::/system.slice/train.service\n");
  EXPECT_EQ(place.unit, "train.service");
  EXPECT_EQ(place.container, "");
}

TEST(Cgroup, FindsTheInnermostUnit) {
  EXPECT_EQ(
      ParseCgroup("0::/user.slice/user-1000.slice/user@1000.service/app.slice/job.scope\n").unit,
      "job.scope");
}

TEST(Cgroup, FindsAContainerInAScope) {
  const CgroupPlace place = ParseCgroup("0::/system.slice/docker-" + kId + ".scope\n");
  EXPECT_EQ(place.container, kId);
  EXPECT_EQ(place.unit, "docker-" + kId + ".scope");
}

TEST(Cgroup, FindsAContainerOfAPodThatIsABareComponent) {
  EXPECT_EQ(ParseCgroup("0::/kubepods/besteffort/pod0a1b/" + kId + "\n").container, kId);
}

TEST(Cgroup, NamesContainersInContainersFromTheOutermostOn) {
  const std::string inner(64, 'b');
  EXPECT_EQ(ParseCgroup("0::/docker/" + kId + "/docker/" + inner + "\n").container,
            kId + "/" + inner);
}

TEST(Cgroup, LetsNoContainerTakeTheNameOfAnother) {
  const std::string victim = ParseCgroup("0::/docker/" + kId + "\n").container;
  const std::string attacker(64, 'b');
  for (const std::string& forged : {"docker-" + kId + ".scope", kId, kId + "/x"})
    EXPECT_NE(ParseCgroup("0::/docker/" + attacker + "/" + forged + "\n").container, victim);
}

TEST(Cgroup, FindsAContainerInWhicheverHierarchyShowsIt) {
  EXPECT_EQ(ParseCgroup("5:memory:/docker/" + kId + "\n1:name=systemd:/\n0::/\n").container, kId);
}

TEST(Cgroup, DoesNotTakeOtherRunsOfDigitsForAContainer) {
  EXPECT_EQ(ParseCgroup("0::/x-" + kId + "f.scope\n").container, "");
  EXPECT_EQ(ParseCgroup("0::/x-" + kId.substr(1) + ".scope\n").container, "");
}

TEST(Cgroup, ReadsTheSystemdLineOfAHybridHierarchy) {
  EXPECT_EQ(ParseCgroup("4:memory:/x\n1:name=systemd:/system.slice/a.service\n0::/\n").unit,
            "a.service");
}

TEST(Cgroup, SaysNothingAboutTextThatIsNone) {
  for (const char* text : {"", "\n", "0", "0::", "::::", "0:/a.service", "\0"}) {
    EXPECT_EQ(ParseCgroup(text).unit, "") << text;
    EXPECT_EQ(ParseCgroup(text).container, "") << text;
  }
}

}  // namespace
}  // namespace hlbuf
