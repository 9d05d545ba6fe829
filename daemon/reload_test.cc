// SPDX-License-Identifier: Apache-2.0
#include "daemon/reload.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/support/fake_backend.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_machine.h"

namespace hlbuf {
namespace {

Config Parsed(absl::string_view text, const Machine& machine = FakeMachine()) {
  absl::StatusOr<Config> config = ParseConfig(text, "f.toml", machine);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *std::move(config) : Config();
}

TEST(MergeConfig, TakesRulesRolesLimitsTimesEnforcementAndTheLogLevel) {
  const Reread merged = MergeConfig(Parsed(""), Parsed(R"(
[roles]
viewer = [7]
[[rule]]
name = "no"
effect = "deny"
[limits.domain]
buffers = 3
[timing]
reset_grace = "3s"
[enforcement]
resets = "kill"
[log]
level = "debug"
)"));
  EXPECT_TRUE(merged.need_restart.empty());
  EXPECT_EQ(merged.config.roles.viewer, std::vector<gid_t>{7});
  ASSERT_EQ(merged.config.rules.size(), 1u);
  EXPECT_EQ(merged.config.rules[0].name, "no");
  EXPECT_EQ(merged.config.caps.limits.domain[static_cast<std::size_t>(Resource::kBuffers)], 3u);
  EXPECT_EQ(merged.config.timing.reset_grace, absl::Seconds(3));
  EXPECT_EQ(merged.config.enforcement.resets, Force::kKill);
  EXPECT_EQ(merged.config.log_level, LogLevel::kDebug);
}

TEST(MergeConfig, KeepsSocketsAndDevicesAndSaysSo) {
  const Config running = Parsed("");
  const Reread merged = MergeConfig(running, Parsed(R"(
[sockets]
client = "/elsewhere/buf.sock"
[[device]]
name = "other"
kind = "software"
size = "1GiB"
)"));
  EXPECT_EQ(merged.config.sockets, running.sockets);
  EXPECT_EQ(merged.config.devices, running.devices);
  EXPECT_EQ(merged.config.default_device, "software0");
  EXPECT_EQ(merged.config.caps.limits.service, running.caps.limits.service)
      << "they follow from the devices";
  EXPECT_EQ(merged.need_restart,
            (std::vector<std::string>{"sockets", "device", "limits", "default_device"}));
}

constexpr const char* kTcp =
    "[control_tcp]\nlisten = \"127.0.0.1:9443\"\ncertificate = \"/a\"\nkey = \"/b\"\n"
    "client_ca = \"/c\"\n";

TEST(MergeConfig, TakesCertificatesAndTheirRoles) {
  const Reread merged = MergeConfig(
      Parsed(kTcp),
      Parsed(absl::StrCat(absl::StrReplaceAll(kTcp, {{"/a", "/new"}}), "admin = [\"alice\"]\n")));
  EXPECT_TRUE(merged.need_restart.empty());
  EXPECT_EQ(merged.config.control_tcp.files.certificate, "/new");
  EXPECT_EQ(merged.config.control_tcp.roles.admin, std::vector<std::string>{"alice"});
}

TEST(MergeConfig, KeepsWhereItListensOverTcpAndSaysSo) {
  for (const std::string& other :
       {std::string(), absl::StrReplaceAll(kTcp, {{"9443", "9444"}, {"/a", "/new"}})}) {
    const Reread merged = MergeConfig(Parsed(kTcp), Parsed(other));
    EXPECT_EQ(merged.need_restart, std::vector<std::string>{"control_tcp"});
    ASSERT_TRUE(merged.config.control_tcp.listen.has_value());
    EXPECT_EQ(merged.config.control_tcp.listen->Text(), "127.0.0.1:9443");
    EXPECT_EQ(merged.config.control_tcp.files.certificate, "/a");
  }
}

TEST(MergeConfig, KeepsTheDirectoryOfItsStateAndSaysSo) {
  const Reread merged =
      MergeConfig(Parsed(""), Parsed("[state]\ndirectory = \"/run/elsewhere\"\n"));
  EXPECT_EQ(merged.config.state.directory, "");
  EXPECT_EQ(merged.need_restart, std::vector<std::string>{"state"});
}

TEST(MergeConfig, FindsAGroupThatWasMadeMeanwhile) {
  Machine machine = FakeMachine();
  machine.find_group = [](const std::string&) { return std::nullopt; };
  const Config running = Parsed("", machine);
  ASSERT_FALSE(running.sockets.clients_gid.has_value());
  const Reread merged = MergeConfig(running, Parsed(""));
  EXPECT_EQ(merged.config.sockets.clients_gid, gid_t{900});
  EXPECT_TRUE(merged.need_restart.empty());
}

TEST(MergeConfig, KeepsTheGroupWhenAnotherOneIsNamed) {
  const Reread merged =
      MergeConfig(Parsed(""), Parsed("[sockets]\nclients_group = \"operators\"\n"));
  EXPECT_EQ(merged.config.sockets.clients_gid, gid_t{900});
  EXPECT_EQ(merged.need_restart, std::vector<std::string>{"sockets"});
}

// The test's own thread is the loop, which another may post to.
class Loop final : public Poster {
 public:
  void Post(absl::AnyInvocable<void() &&> task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    posted_.notify_one();
  }
  // Runs the next task, when it has come.
  void RunNext() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        posted_.wait_for(lock, std::chrono::seconds(20), [this] { return !tasks_.empty(); }));
    absl::AnyInvocable<void()&&> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    std::move(task)();
  }
  bool idle() {
    const std::lock_guard lock(mutex_);
    return tasks_.empty();
  }

 private:
  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<absl::AnyInvocable<void() &&>> tasks_;
};

class ReloadTest : public testing::Test {
 protected:
  ReloadTest() {
    auto backend = std::make_unique<FakeBackend>();
    FakeBackend& fake = *backend;
    broker.AddDevice("a", std::move(backend));
    fake.Run();
    while (!loop.idle()) loop.RunNext();
    told.clear();
  }
  // The one before READY=1.
  std::string Status() const { return told.size() < 2 ? "" : told.at(told.size() - 2); }

  FakeClock clock;
  EventLog log{1};
  Broker broker{{}, Policy({}, {}), clock, log};
  Loop loop;
  std::vector<std::string> told;
  Readiness readiness{log, broker, loop, clock,
                      [this](const std::string& lines) { told.push_back(lines); }};
  absl::StatusOr<Config> file = Parsed("");
  int reads = 0;
  std::vector<Config> applied;
  Reload reload{loop, readiness, Parsed(""),
                [this] {
                  ++reads;
                  return file;
                },
                [this](const Config& config) { applied.push_back(config); }};
};

TEST_F(ReloadTest, AppliesWhatItReads) {
  file = Parsed("[log]\nlevel = \"error\"\n");
  reload.Request();
  EXPECT_TRUE(applied.empty()) << "it is read elsewhere";
  loop.RunNext();
  ASSERT_EQ(applied.size(), 1u);
  EXPECT_EQ(applied[0].log_level, LogLevel::kError);
  EXPECT_EQ(reload.running().log_level, LogLevel::kError);
  EXPECT_EQ(told.back(), "READY=1");
  EXPECT_EQ(Status(), "STATUS=Serving a (READY)");
}

TEST_F(ReloadTest, KeepsTheOldOneWhenTheNewOneIsBadAndNamesTheFirstMistake) {
  file = ParseConfig("[log]\nlevel = 5\nx = 1\n", "f.toml", FakeMachine());
  testing::internal::CaptureStderr();
  reload.Request();
  loop.RunNext();
  const std::string logged = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(applied.empty());
  EXPECT_EQ(reload.running().log_level, LogLevel::kInfo);
  EXPECT_EQ(told.back(), "READY=1");
  EXPECT_EQ(Status().find("STATUS=Serving a (READY); the configuration was refused and "
                          "the old one is kept: f.toml:2:9: log.level: found 5"),
            0u)
      << Status();
  EXPECT_NE(Status().find("(and 1 more)"), std::string::npos);
  EXPECT_NE(logged.find("f.toml:2:9: log.level"), std::string::npos) << logged;
  EXPECT_NE(logged.find("f.toml:3:1: log.x"), std::string::npos) << logged;
}

TEST_F(ReloadTest, ForgetsAMistakeThatWasMended) {
  file = absl::InvalidArgumentError("f.toml:1:1: x");
  reload.Request();
  loop.RunNext();
  file = Parsed("");
  reload.Request();
  loop.RunNext();
  EXPECT_EQ(told.back(), "READY=1");
  EXPECT_EQ(Status(), "STATUS=Serving a (READY)");
}

TEST_F(ReloadTest, ReadsOnceMoreWhenAskedWhileItReads) {
  reload.Request();
  reload.Request();
  reload.Request();
  loop.RunNext();
  EXPECT_TRUE(applied.empty()) << "what was read may be older than the last request";
  loop.RunNext();
  EXPECT_EQ(reads, 2);
  EXPECT_EQ(applied.size(), 1u);
  EXPECT_EQ(told.size(), 3u) << "RELOADING, the status and READY";
}

TEST_F(ReloadTest, ComparesWithWhatItRunsWithAndNotWithWhatWasReadLast) {
  file = Parsed("[sockets]\nclient = \"/elsewhere/buf.sock\"\n");
  for (int i = 0; i < 2; ++i) {
    reload.Request();
    loop.RunNext();
    EXPECT_NE(Status().find("sockets, needs a restart"), std::string::npos) << Status();
  }
}

}  // namespace
}  // namespace hlbuf
