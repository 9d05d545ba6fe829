// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/ctl/doctor/fake_node.h"
#include "client/ctl/doctor/service_checks.h"
#include "client/ctl/doctor/service_config.h"
#include "client/ctl/doctor/service_process.h"
#include "tests/support/texts.h"

namespace hlbuf::ctl::doctor {
namespace {

constexpr const char* kAll = "         0          0 4294967295\n";

std::string Limits(const std::string& soft, const std::string& hard) {
  return "Limit                     Soft Limit           Hard Limit           Units\n"
         "Max open files            " +
         soft + "                 " + hard + "               files     \n";
}

TEST(ServiceConfigTest, IsBuiltInWhereThereIsNoFile) {
  const auto config = ReadServiceConfig("/nonexistent/hl-bufd.toml");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->reset_grace, kDefaultResetGrace);
  EXPECT_FALSE(config->is_for_host_memory()) << "nobody has chosen anything";
}

TEST(ServiceConfigTest, HasTheServicesOwnDefault) {
  const char* source = std::getenv("HLBUF_SOURCE_DIR");
  ASSERT_NE(source, nullptr);
  const std::string example = ReadAll(absl::StrCat(source, "/deploy/config/hl-bufd.toml"));
  EXPECT_TRUE(Contains(example, absl::StrCat("\n#holders = \"", kDefaultHoldersSocket, "\"")));
  EXPECT_TRUE(Contains(example, absl::StrCat("\n#reset_grace = \"",
                                             absl::FormatDuration(kDefaultResetGrace), "\"")));
}

TEST(ServiceConfigTest, IsReadFromTheFile) {
  const FakeNode node;
  const std::string path = node.At("/c.toml");
  node.Write("/c.toml",
             "[timing]\nreset_grace = \"25s\"\n[sockets]\nholders = \"/h.sock\"\n[[device]]\nname "
             "= \"a\"\nkind = \"udmabuf\"\n"
             "[[device]]\nkind = \"software\"\n");
  auto config = ReadServiceConfig(path);
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->reset_grace, absl::Seconds(25));
  EXPECT_EQ(config->holders, "/h.sock");
  EXPECT_FALSE(config->enforces);
  EXPECT_TRUE(config->is_for_host_memory());
  node.Write("/c.toml", "[[device]]\nkind = \"udmabuf\"\n[[device]]\nkind = \"habanalabs\"\n");
  EXPECT_FALSE(ReadServiceConfig(path)->is_for_host_memory());
  node.Write("/c.toml", "[enforcement]\nresets = \"off\"\nrevocations = \"kill\"\n");
  EXPECT_TRUE(ReadServiceConfig(path)->enforces);
}

TEST(ServiceConfigTest, MayBeNonsense) {
  const FakeNode node;
  for (const char* bad : {"[timing", "[timing]\nreset_grace = 5\n", "\xff\xfe",
                          "[timing]\nreset_grace = \"soon\"\n", "[sockets]\nholders = 7\n"}) {
    node.Write("/c.toml", bad);
    EXPECT_EQ(ReadServiceConfig(node.At("/c.toml")).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
  for (const char* odd : {"device = 7\n", "device = [1, \"x\"]\n", "[[device]]\nkind = 3\n"}) {
    node.Write("/c.toml", odd);
    EXPECT_TRUE(ReadServiceConfig(node.At("/c.toml")).ok()) << odd;
  }
}

class ServiceProcessTest : public testing::Test {
 protected:
  void Add(const std::string& pid, const std::string& status = "") {
    const std::string process = absl::StrCat("/proc/", pid);
    node_.Write(process + "/comm", "hl-bufd\n");
    node_.Write(process + "/status",
                absl::StrCat("Uid:\t901\t901\t901\t901\nGid:\t901\t901\t901\t901\n"
                             "Groups:\t\nCapEff:\t0\n",
                             status));
    node_.Write(process + "/limits", Limits("1024", "524288"));
    node_.Write(process + "/uid_map", kAll);
    node_.Write(process + "/gid_map", kAll);
    node_.LinkOutside(process + "/exe", "/usr/libexec/hl-bufd");
    node_.LinkOutside(process + "/ns/pid", "pid:[4026531836]");
  }
  Process Find(std::optional<pid_t> listener = std::nullopt) {
    return FindService(node_.roots(), listener, {0, 901});
  }
  FakeNode node_;
};

TEST_F(ServiceProcessTest, IsTheOneOfThatName) {
  node_.Write("/proc/1/comm", "systemd\n");
  EXPECT_TRUE(absl::IsNotFound(Find().status()));
  Add("40");
  ASSERT_TRUE(Find().ok());
  EXPECT_EQ(Find()->pid, 40);
  EXPECT_EQ(Find()->who->uid, 901U);
  EXPECT_EQ(Find()->config, node_.At("/etc/hl-bufd/hl-bufd.toml"));
  node_.Write("/proc/7/comm", "hl-bufd\n");
  node_.Write("/proc/7/status", "Uid:\t1000\t1000\t1000\t1000\nGid:\t1\t1\t1\t1\n");
  EXPECT_EQ(Find()->pid, 40) << "anybody may call a process so";
  EXPECT_EQ(Find(7)->pid, 7) << "unless it listens";
  Add("8");
  node_.Remove("/proc/8/exe");
  node_.LinkOutside("/proc/8/exe", "/usr/bin/python3");
  EXPECT_EQ(Find()->pid, 40) << "its program is another";
  Add("41");
  EXPECT_FALSE(Find().ok());
  EXPECT_EQ(Find(41)->pid, 41) << "who listens at the socket is the one";
  EXPECT_FALSE(Find(1).ok()) << "systemd made the socket, and tells nothing";
}

TEST_F(ServiceProcessTest, TellsItsConfiguration) {
  Add("40");
  node_.Write("/proc/40/cmdline", std::string("hl-bufd\0--config\0/a.toml\0", 25));
  EXPECT_EQ(Find()->config, "/a.toml");
  node_.Write("/proc/40/cmdline", std::string("hl-bufd\0--config=b.toml\0", 24));
  EXPECT_EQ(Find()->config, node_.At("/proc/40/cwd/b.toml"));
}

TEST_F(ServiceProcessTest, HasDescriptorsEnough) {
  Add("40");
  const Finding finding = JudgeDescriptors(Find());
  EXPECT_EQ(finding.verdict, Verdict::kOk);
  EXPECT_TRUE(Contains(finding.evidence, "524288 descriptors"));
  EXPECT_TRUE(Contains(finding.evidence, "262143 may be in flight"));
  node_.Write("/proc/40/limits", Limits("1024", "1024"));
  EXPECT_EQ(JudgeDescriptors(Find()).verdict, Verdict::kWarning);
  node_.Write("/proc/40/limits", Limits("1024", "unlimited"));
  EXPECT_EQ(JudgeDescriptors(Find()).verdict, Verdict::kOk);
  for (const char* odd : {"", "Max open files", "Max open files a b c"}) {
    node_.Write("/proc/40/limits", odd);
    EXPECT_EQ(JudgeDescriptors(Find()).verdict, Verdict::kUnknown) << odd;
  }
}

TEST_F(ServiceProcessTest, NeedsAllIdsInItsUserNamespace) {
  Add("40");
  EXPECT_EQ(JudgeUserNamespace(Find()).verdict, Verdict::kOk);
  node_.Write("/proc/40/gid_map", "0 100000 65536\n");
  const Finding part = JudgeUserNamespace(Find());
  EXPECT_EQ(part.verdict, Verdict::kProblem);
  EXPECT_TRUE(Contains(part.evidence, "65536 ids"));
  node_.Write("/proc/40/gid_map", "");
  EXPECT_EQ(JudgeUserNamespace(Find()).verdict, Verdict::kProblem);
  node_.Remove("/proc/40/gid_map");
  EXPECT_EQ(JudgeUserNamespace(Find()).verdict, Verdict::kUnknown);
}

TEST_F(ServiceProcessTest, ShouldSeeEveryProcess) {
  Add("40", "NSpid:\t40\n");
  EXPECT_EQ(JudgePidNamespace(Find()).verdict, Verdict::kOk);
  Add("50", "NSpid:\t50\t1\n");
  EXPECT_EQ(JudgePidNamespace(Find(50)).verdict, Verdict::kWarning);
  node_.Remove("/proc/40/ns/pid");
  EXPECT_EQ(JudgePidNamespace(Find(40)).verdict, Verdict::kUnknown);
  node_.LinkOutside("/proc/40/ns/pid", "pid:[4026532999]");
  EXPECT_EQ(JudgePidNamespace(Find(40)).verdict, Verdict::kWarning);
}

TEST_F(ServiceProcessTest, IsUnknownToAllChecksWhenItDoesNotRun) {
  for (const Finding& finding :
       {JudgeDescriptors(Find()), JudgeUserNamespace(Find()), JudgePidNamespace(Find())}) {
    EXPECT_EQ(finding.verdict, Verdict::kUnknown);
    EXPECT_TRUE(Contains(finding.remedy, "start hl-bufd"));
  }
}

TEST_F(ServiceProcessTest, HasItsProgramsBesideIt) {
  Add("40");
  node_.Remove("/proc/40/exe");
  node_.Write("/usr/libexec/hl-bufd-keeper", "");
  node_.Link("/proc/40/exe", "/usr/libexec/hl-bufd");
  const Program keeper = FindProgram("hl-bufd-keeper", Find(), {"/elsewhere"});
  EXPECT_EQ(keeper.path, node_.At("/usr/libexec/hl-bufd-keeper"));
  EXPECT_EQ(JudgeKeeper(keeper, true).verdict, Verdict::kOk);
  const Program none = FindProgram("hl-bufd-holders", Find(), {"/elsewhere"});
  EXPECT_EQ(JudgeKeeper(none, true).verdict, Verdict::kProblem);
  node_.Remove("/proc/40/exe");
  Process unreadable = Find(40);
  unreadable->program = absl::PermissionDeniedError("/proc/40/exe: Permission denied");
  const Finding unknown =
      JudgeKeeper(FindProgram("hl-bufd-keeper", unreadable, {node_.At("/usr/libexec")}), true);
  EXPECT_EQ(unknown.verdict, Verdict::kUnknown) << "another one may lie there";
  EXPECT_TRUE(Contains(unknown.evidence, "needs root"));
  node_.Remove("/proc/40");
  EXPECT_EQ(FindProgram("hl-bufd-keeper", Find(), {"/no", node_.At("/usr/libexec")}).path,
            keeper.path);
}

TEST_F(ServiceProcessTest, NeedsTheMeansToEnforce) {
  Add("40");
  const ServiceConfig off{.path = "/c.toml"};
  EXPECT_EQ(JudgeEnforcement(off, Find(), "6.1").verdict, Verdict::kOk);
  EXPECT_TRUE(Contains(JudgeEnforcement(off, Find(), "6.1").evidence, "is off"));
  const ServiceConfig on{.path = "/c.toml", .enforces = true};
  const Finding powerless = JudgeEnforcement(on, Find(), "6.12.95");
  EXPECT_EQ(powerless.verdict, Verdict::kWarning);
  EXPECT_TRUE(Contains(powerless.evidence, "no CAP_KILL"));
  EXPECT_TRUE(Contains(powerless.remedy, "the drop-in enforcement.conf"));
  const Finding old = JudgeEnforcement(on, Find(), "6.1.0-42-amd64");
  EXPECT_EQ(old.verdict, Verdict::kWarning);
  EXPECT_TRUE(Contains(old.remedy, "Linux 6.5"));
  Process able = Find();
  able->status = "CapEff:\t0000000000000020\n";
  EXPECT_EQ(JudgeEnforcement(on, able, "6.12.95").verdict, Verdict::kOk);
  able->status = "";
  EXPECT_EQ(JudgeEnforcement(on, able, "6.12.95").verdict, Verdict::kUnknown);
  EXPECT_EQ(JudgeEnforcement(on, Process(absl::NotFoundError("none")), "6.12").verdict,
            Verdict::kUnknown);
  EXPECT_EQ(JudgeEnforcement(absl::PermissionDeniedError("/c.toml: no"), able, "6.12").verdict,
            Verdict::kUnknown);
}

TEST(JudgeHolders, WantsTheSocketThatTheServiceAsksAt) {
  const auto judge = [](const Program& program, const absl::StatusOr<ServiceConfig>& config) {
    return JudgeHolders(program, config, [](const std::string& path) {
      if (path == "/closed.sock") return absl::PermissionDeniedError(path);
      return path == "/h.sock" ? absl::OkStatus() : absl::NotFoundError(path);
    });
  };
  const Program there = {.path = "/libexec/hl-bufd-holders", .looked = {"/libexec"}};
  EXPECT_EQ(judge(there, ServiceConfig{.holders = "/h.sock"}).verdict, Verdict::kOk);
  EXPECT_EQ(judge({}, ServiceConfig{.holders = "/h.sock"}).verdict, Verdict::kOk);
  const Finding unasked = judge(there, ServiceConfig{.path = "/c.toml"});
  EXPECT_EQ(unasked.verdict, Verdict::kWarning) << "the program alone answers nobody";
  EXPECT_TRUE(Contains(unasked.evidence, kDefaultHoldersSocket));
  EXPECT_TRUE(Contains(unasked.remedy, "socket unit"));
  const Finding off = judge(there, ServiceConfig{.path = "/c.toml", .holders = ""});
  EXPECT_EQ(off.verdict, Verdict::kWarning);
  EXPECT_TRUE(Contains(off.remedy, "[sockets] holders"));
  EXPECT_TRUE(Contains(judge({.looked = {"/a"}}, ServiceConfig()).evidence, "no hl-bufd-holders"));
  EXPECT_EQ(judge(there, ServiceConfig{.holders = "/closed.sock"}).verdict, Verdict::kUnknown);
  EXPECT_EQ(judge(there, absl::PermissionDeniedError("/c.toml: no")).verdict, Verdict::kUnknown);
}

TEST(JudgeService, WantsEveryDeviceToBeReady) {
  ServiceAnswer answer;
  answer.devices = {{.name = "gaudi0", .kind = "habanalabs", .state = "READY"}};
  EXPECT_EQ(JudgeService("/s", answer, true).verdict, Verdict::kOk);
  answer.devices[0].state = "OPENING";
  EXPECT_EQ(JudgeService("/s", answer, true).verdict, Verdict::kWarning);
  answer.devices[0] = {.name = "g", .kind = "habanalabs", .state = "FAILED", .failure = "because"};
  const Finding failed = JudgeService("/s", answer, true);
  EXPECT_EQ(failed.verdict, Verdict::kProblem);
  EXPECT_TRUE(Contains(failed.evidence, "g (habanalabs) is FAILED: because"));
}

TEST(JudgeService, WantsTheCardToBeServed) {
  ServiceAnswer answer;
  answer.devices = {{.name = "software0", .kind = "software", .state = "READY"}};
  EXPECT_EQ(JudgeService("/s", answer, false).verdict, Verdict::kOk);
  EXPECT_EQ(JudgeService("/s", answer, true).verdict, Verdict::kWarning);
}

TEST(JudgeService, IsAProblemUnlessThisUserMayNotAsk) {
  EXPECT_EQ(JudgeService("/s", {.status = absl::UnavailableError("no")}, true).verdict,
            Verdict::kProblem);
  EXPECT_EQ(JudgeService("/s", {.status = absl::PermissionDeniedError("no")}, true).verdict,
            Verdict::kUnknown);
}

}  // namespace
}  // namespace hlbuf::ctl::doctor
