// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/support/texts.h"
#include "tests/system/installed_service.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

class ServiceWatchdog : public InstalledService {
 protected:
  void StartWith(const std::string& patience) {
    DropIn("WatchdogSec=" + patience);
    Must({"start", kService});
    first_ = MainPid();
  }
  // Stops one thread, as the loss of its processor would; the others run. One that has done its
  // work meanwhile runs no more.
  void Freeze(pid_t thread) {
    const int seized = ::ptrace(PTRACE_SEIZE, thread, nullptr, nullptr) == 0 ? 0 : errno;
    if (seized == ESRCH) return;
    ASSERT_EQ(seized, 0) << std::strerror(seized);
    frozen_.insert(thread);
    ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr), 0) << std::strerror(errno);
    int status = 0;
    ASSERT_EQ(::waitpid(thread, &status, __WALL), thread);
    ASSERT_TRUE(WIFSTOPPED(status));
  }
  // What died meanwhile waits for this process to take note of it.
  void ThawAll() {
    for (const pid_t thread : frozen_)
      if (::ptrace(PTRACE_DETACH, thread, nullptr, nullptr) != 0)
        ::waitpid(thread, nullptr, __WALL);
    frozen_.clear();
  }
  std::set<pid_t> ThreadsBesideTheLoop() const {
    std::set<pid_t> threads;
    for (const auto& entry :
         std::filesystem::directory_iterator(absl::StrCat("/proc/", first_, "/task")))
      threads.insert(std::stoi(entry.path().filename().string()));
    threads.erase(first_);
    return threads;
  }
  void ExpectRestarted() {
    EXPECT_TRUE(IsLogged("Watchdog timeout"));
    ThawAll();
    EXPECT_TRUE(Comes(kService, "NRestarts", "1"));
    EXPECT_EQ(Alice().Allocate(kBytes).size_bytes, kBytes);
    EXPECT_NE(MainPid(), first_);
  }

  pid_t first_ = 0;
  std::set<pid_t> frozen_;
};

TEST_F(ServiceWatchdog, RestartsAServiceThatStandsStill) {
  StartWith("2s");
  ASSERT_EQ(::kill(first_, SIGSTOP), 0);
  ExpectRestarted();
}

TEST_F(ServiceWatchdog, RestartsAServiceOfWhichTheLoopAloneStandsStill) {
  StartWith("2s");
  ASSERT_FALSE(ThreadsBesideTheLoop().empty());
  Freeze(first_);
  ExpectRestarted();
}

TEST_F(ServiceWatchdog, RestartsAServiceOfWhichTheLoopAloneRuns) {
  StartWith("2s");
  for (const pid_t thread : ThreadsBesideTheLoop()) Freeze(thread);
  ExpectRestarted();
  EXPECT_TRUE(IsLogged("watchdog: the control server has not answered yet"));
}

TEST_F(ServiceWatchdog, LeavesOneThatIsBusyAlone) {
  constexpr std::uint64_t kPatienceMicros = 4'000'000;
  StartWith("4s");
  LibraryClient alice = Alice();
  const auto told = [] { return std::stoull(Show(kService, "WatchdogTimestampMonotonic")); };
  const std::uint64_t before = told();
  EXPECT_TRUE(Eventually([&] {
    for (int i = 0; i < 50; ++i) alice.Release(alice.Allocate(kBytes));
    return told() > before + kPatienceMicros;
  }));
  EXPECT_EQ(MainPid(), first_);
  EXPECT_EQ(Show(kService, "NRestarts"), "0");
}

}  // namespace
}  // namespace hlbuf
