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

TEST(Cgroup, FindsContainersThatHaveNames) {
  const auto container = [](const std::string& path) {
    return ParseCgroup("0::" + path + "\n").container;
  };
  EXPECT_EQ(container("/machine.slice/machine-web.scope/payload/init.scope"), "machine:web");
  EXPECT_EQ(container("/machine.slice/systemd-nspawn@web.service/payload"), "machine:web");
  EXPECT_EQ(container("/system.slice/systemd-nspawn@web.service"), "machine:web");
  EXPECT_EQ(container("/lxc.payload.web/system.slice/train.service"), "lxc:web");
  EXPECT_EQ(container("/lxc/web/init.scope"), "lxc:web");
  EXPECT_EQ(container("/lxc.payload/web"), "lxc:web");
  EXPECT_EQ(container("/lxc.payload.web/docker/" + kId), "lxc:web/" + kId);
  EXPECT_EQ(ParseCgroup("5:memory:/lxc/web\n1:name=systemd:/\n").container, "lxc:web");
}

TEST(Cgroup, TakesOnlyWhatARuntimeMakesForAContainer) {
  for (const char* path :
       {"/system.slice/machine-web.scope", "/machine.slice/machine-web.service", "/machine.slice",
        "/lxc.monitor.web", "/lxc", "/system.slice/lxc.service", "/lxc.payload.",
        "/system.slice/systemd-nspawn@.service", "/machine.slice/machine-.scope"})
    EXPECT_EQ(ParseCgroup("0::" + std::string(path) + "\n").container, "") << path;
}

TEST(Cgroup, EscapesANameThatIsNoText) {
  EXPECT_EQ(ParseCgroup("0::/lxc.payload.a\x1b[1m\xff:\n").container, "lxc:a%1b%5b1m%ff%3a");
  EXPECT_EQ(ParseCgroup("0::/machine.slice/machine-a\\x2db.scope\n").container, "machine:a\\x2db");
}

TEST(Cgroup, EscapesAUnitThatNoServiceCouldHave) {
  EXPECT_EQ(ParseCgroup("0::/user.slice/user@1000.service/a\xff\x1b[2J.scope\n").unit,
            "a%ff%1b%5b2J.scope");
  EXPECT_EQ(ParseCgroup("0::/user.slice/user@1000.service\n").unit, "user@1000.service");
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

TEST(Cgroup, CutsAUnitThatIsTooLong) {
  const auto unit = [](std::size_t letters) {
    return ParseCgroup("0::/" + std::string(letters, '+') + ".service\n").unit;
  };
  EXPECT_EQ(unit(100).size(), 100 * 3 + 8u) << "escaped";
  EXPECT_EQ(unit(200).size(), kPlaceBytesMax);
  EXPECT_EQ(unit(200).substr(kPlaceBytesMax - 3), "...");
}

// What is cut could be the name of another one.
TEST(Cgroup, RefusesAContainerWhoseNameIsTooLong) {
  std::string path;
  for (int i = 0; i < 7; ++i) path += "/docker/" + kId;
  EXPECT_TRUE(CheckPlace(ParseCgroup("0::" + path + "\n")).ok());
  const CgroupPlace deeper = ParseCgroup("0::" + path + "/docker/" + kId + "\n");
  EXPECT_EQ(CheckPlace(deeper).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(deeper.container.size(), 8 * 65 - 1u) << "what it is called is told whole";
  EXPECT_FALSE(CheckPlace(ParseCgroup("0::/lxc/" + std::string(200, '\xff') + "\n")).ok());
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

std::uint32_t JobOf(const std::string& path) { return ParseCgroup("0::" + path + "\n").job; }

TEST(Cgroup, FindsASlurmJob) {
  EXPECT_EQ(JobOf("/system.slice/slurmstepd.scope/job_123/step_0/user/task_0"), 123u);
  EXPECT_EQ(JobOf("/system.slice/node7_slurmstepd.scope/job_123/step_batch/user"), 123u);
  EXPECT_EQ(JobOf("/system.slice/slurmstepd.scope/job_4294967293"), 4294967293u);
  EXPECT_EQ(ParseCgroup("9:memory:/slurm/uid_1000/job_77/step_0\n0::/\n").job, 77u);
  EXPECT_EQ(ParseCgroup("1:name=systemd:/system.slice/slurmd.service\n"
                        "3:freezer:/slurm_node7/uid_1000/job_77/step_0\n")
                .job,
            77u);
}

TEST(Cgroup, FindsTheJobOfAContainerThatTheJobStarted) {
  const CgroupPlace place =
      ParseCgroup("0::/system.slice/slurmstepd.scope/job_9/step_0/user/docker-" + kId + ".scope\n");
  EXPECT_EQ(place.job, 9u);
  EXPECT_EQ(place.container, kId);
}

// Who may make groups somewhere further down can call them what he likes.
TEST(Cgroup, TakesNoJobThatAnybodyCouldHaveNamed) {
  for (const char* path :
       {"/user.slice/user-1000.slice/user@1000.service/slurmstepd.scope/job_1",
        "/user.slice/user-1000.slice/user@1000.service/system.slice/slurmstepd.scope/job_1",
        "/docker/slurm/uid_0/job_1", "/lxc/web/system.slice/slurmstepd.scope/job_1",
        "/../system.slice/slurmstepd.scope/job_1", "/machine.slice/x/slurmstepd.scope/job_1"})
    EXPECT_EQ(JobOf(path), 0u) << path;
}

TEST(Cgroup, TakesNothingElseForAJob) {
  for (const char* path :
       {"/system.slice/slurmstepd.scope", "/system.slice/slurmstepd.scope/system",
        "/system.slice/slurmstepd.scope/job_", "/system.slice/slurmstepd.scope/job_x",
        "/system.slice/slurmstepd.scope/job_-1", "/system.slice/slurmstepd.scope/job_+1",
        "/system.slice/slurmstepd.scope/job_ 1", "/system.slice/slurmstepd.scope/job_4294967296",
        "/system.slice/myslurmstepd.scope/job_1", "/slurmy/uid_1/job_1", "/slurm/job_1",
        "/slurm/user_1/job_1", "slurm/uid_1/job_1"})
    EXPECT_EQ(JobOf(path), 0u) << path;
}

TEST(Cgroup, SaysNothingAboutTextThatIsNone) {
  for (const char* text : {"", "\n", "0", "0::", "::::", "0:/a.service", "\0"}) {
    EXPECT_EQ(ParseCgroup(text).unit, "") << text;
    EXPECT_EQ(ParseCgroup(text).container, "") << text;
    EXPECT_EQ(ParseCgroup(text).job, 0u) << text;
  }
}

}  // namespace
}  // namespace hlbuf
