// SPDX-License-Identifier: Apache-2.0
#include "daemon/notify_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "daemon/base/event_loop.h"
#include "proto/wire/packet.h"
#include "tests/support/child.h"
#include "tests/support/descriptors.h"
#include "tests/support/fake_clock.h"

namespace hlbuf {
namespace {

using Lines = std::vector<std::string>;

// A service manager that reads when it is told to.
class NotifySocketTest : public testing::Test {
 protected:
  explicit NotifySocketTest(bool abstract = false) {
    const std::string name = (abstract ? "@" : "") + directory_.path() + "/notify";
    sockaddr_un address = {.sun_family = AF_UNIX};
    name.copy(address.sun_path, sizeof(address.sun_path) - 1);
    std::size_t bytes = sizeof(address);
    if (abstract) {
      address.sun_path[0] = '\0';
      bytes = offsetof(sockaddr_un, sun_path) + name.size();
    }
    EXPECT_EQ(::bind(manager_.get(), reinterpret_cast<sockaddr*>(&address),
                     static_cast<socklen_t>(bytes)),
              0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~NotifySocketTest() override { ::unsetenv("NOTIFY_SOCKET"); }

  // The next message, and what came along is in `fds`.
  std::optional<std::string> Read() {
    if (!ReceivePacket(manager_.get(), packet_).ok()) return std::nullopt;
    for (UniqueFd& fd : packet_.fds()) fds.push_back(std::move(fd));
    packet_.fds().clear();
    return std::string(reinterpret_cast<const char*>(packet_.bytes().data()),
                       packet_.bytes().size());
  }
  // It ends, and what names its socket stays.
  void Die() { manager_.Reset(); }
  Lines ReadAll() {
    Lines all;
    while (std::optional<std::string> lines = Read()) all.push_back(*std::move(lines));
    return all;
  }
  // Until the manager has no room for more: how many it has.
  int Fill(NotifySocket& notify) {
    int sent = 0;
    for (; notify.idle(); ++sent) EXPECT_TRUE(notify.Send("FILL=" + std::to_string(sent)).ok());
    return sent - 1;
  }
  // Reads and lets time pass until all was told.
  Lines ReadUntilIdle(NotifySocket& notify) {
    Lines all;
    for (int i = 0; i < 1000 && !notify.idle(); ++i) {
      for (std::string& lines : ReadAll()) all.push_back(std::move(lines));
      clock.AdvanceTo(notify.NextDeadline());
      notify.RunDeadlines();
    }
    EXPECT_TRUE(notify.idle());
    for (std::string& lines : ReadAll()) all.push_back(std::move(lines));
    return all;
  }

  FakeClock clock;
  std::vector<UniqueFd> fds;

 private:
  TemporaryDirectory directory_;
  UniqueFd manager_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  PacketBuffer packet_;
};

class AbstractNotifySocketTest : public NotifySocketTest {
 protected:
  AbstractNotifySocketTest() : NotifySocketTest(true) {}
};

ino_t InodeOf(const UniqueFd& fd) {
  struct stat its = {};
  EXPECT_EQ(::fstat(fd.get(), &its), 0);
  return its.st_ino;
}

TEST_F(NotifySocketTest, TellsLinesAndADescriptor) {
  NotifySocket notify(clock);
  EXPECT_TRUE(notify.is_there());
  const UniqueFd memfd = Memfd("journal");
  EXPECT_TRUE(notify.Send("FDSTORE=1\nFDNAME=a", memfd.get()).ok());
  EXPECT_TRUE(notify.Send("STATUS=well").ok());
  EXPECT_EQ(ReadAll(), (Lines{"FDSTORE=1\nFDNAME=a", "STATUS=well"}));
  ASSERT_EQ(fds.size(), 1u);
  EXPECT_EQ(InodeOf(fds[0]), InodeOf(memfd));
  EXPECT_EQ(notify.NextDeadline(), absl::InfiniteFuture());
}

TEST_F(AbstractNotifySocketTest, IsReachedByAName) {
  NotifySocket notify(clock);
  EXPECT_TRUE(notify.Send("STATUS=well").ok());
  EXPECT_EQ(ReadAll(), Lines{"STATUS=well"});
}

TEST_F(NotifySocketTest, NeverWaitsForAManagerThatStandsStill) {
  NotifySocket notify(clock);
  const int taken = Fill(notify);
  EXPECT_GT(taken, 0);
  EXPECT_TRUE(notify.Send("STATUS=well").ok());
  clock.AdvanceTo(notify.NextDeadline());
  notify.RunDeadlines();
  EXPECT_FALSE(notify.idle());
  EXPECT_EQ(ReadUntilIdle(notify).size(), static_cast<std::size_t>(taken) + 2);
}

// The manager counts from what it reads: without this one it would strike before the next.
TEST_F(NotifySocketTest, TellsOneOfTheSignsOfLifeThatWait) {
  NotifySocket notify(clock);
  const int taken = Fill(notify);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(notify.Send("WATCHDOG=1").ok());
  const Lines told = ReadUntilIdle(notify);
  EXPECT_EQ(told.size(), static_cast<std::size_t>(taken) + 2);
  EXPECT_EQ(told.back(), "WATCHDOG=1");
}

TEST_F(NotifySocketTest, KeepsTheOrderOfWhatWaits) {
  NotifySocket notify(clock);
  const int taken = Fill(notify);
  const Lines later = {"FDSTOREREMOVE=1\nFDNAME=a", "FDSTORE=1\nFDNAME=a", "READY=1",
                       "FDSTOREREMOVE=1\nFDNAME=a"};
  for (const std::string& lines : later) EXPECT_TRUE(notify.Send(lines).ok());
  EXPECT_TRUE(Read().has_value());  // there is room for one that comes now
  EXPECT_TRUE(notify.Send("STOPPING=1").ok());
  const Lines told = ReadUntilIdle(notify);
  ASSERT_EQ(told.size(), static_cast<std::size_t>(taken) + 5);
  EXPECT_EQ(Lines(told.end() - 5, told.end() - 1), later);
  EXPECT_EQ(told.back(), "STOPPING=1");
}

TEST_F(NotifySocketTest, OwnsADescriptorThatWaits) {
  NotifySocket notify(clock);
  Fill(notify);
  UniqueFd memfd = Memfd("journal");
  const ino_t inode = InodeOf(memfd);
  EXPECT_TRUE(notify.Send("FDSTORE=1\nFDNAME=a", memfd.get()).ok());
  memfd.Reset();
  EXPECT_EQ(ReadUntilIdle(notify).back(), "FDSTORE=1\nFDNAME=a");
  ASSERT_EQ(fds.size(), 1u);
  EXPECT_EQ(InodeOf(fds[0]), inode);
  EXPECT_EQ(CountMemfds(::getpid(), "journal"), 1u) << "it has none any more";
}

TEST_F(NotifySocketTest, TellsTheLastOfTheStatusesThatWait) {
  NotifySocket notify(clock);
  Fill(notify);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(notify.Send("STATUS=" + std::to_string(i)).ok());
  EXPECT_TRUE(notify.Send("READY=1").ok());
  const Lines told = ReadUntilIdle(notify);
  EXPECT_EQ(Lines(told.end() - 2, told.end()), (Lines{"STATUS=999", "READY=1"}));
  EXPECT_EQ(*(told.end() - 3), "FILL=" + std::to_string(told.size() - 3));
}

TEST_F(NotifySocketTest, LetsABoundedNumberWait) {
  NotifySocket notify(clock);
  Fill(notify);
  absl::Status sent;
  std::size_t waiting = 1;
  for (; sent.ok() && waiting < 10'000; ++waiting) sent = notify.Send("FDSTOREREMOVE=1\nFDNAME=a");
  EXPECT_TRUE(absl::IsResourceExhausted(sent)) << sent;
  EXPECT_EQ(waiting, NotifySocket::kWaitingMax + 1);
}

TEST_F(NotifySocketTest, TellsWhatTheServiceIsHoweverMuchWaits) {
  NotifySocket notify(clock);
  Fill(notify);
  while (notify.Send("FDSTOREREMOVE=1\nFDNAME=a").ok()) {
  }
  const Lines all = {"RELOADING=1\nSTATUS=x", "STATUS=well", "WATCHDOG=1", "BARRIER=1",
                     "STOPPING=1"};
  for (const std::string& lines : all) EXPECT_TRUE(notify.Send(lines).ok()) << lines;
  const Lines told = ReadUntilIdle(notify);
  EXPECT_EQ(Lines(told.end() - 5, told.end()), all);
}

TEST_F(NotifySocketTest, EndsEachReloadThatItTells) {
  NotifySocket notify(clock);
  Fill(notify);
  EXPECT_TRUE(notify.Send("READY=1").ok());
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(notify.Send("RELOADING=1\nSTATUS=Reading").ok());
    EXPECT_TRUE(notify.Send("STATUS=" + std::to_string(i)).ok());
    EXPECT_TRUE(notify.Send("READY=1").ok());
  }
  EXPECT_TRUE(notify.Send("FDSTORE=1\nFDNAME=a", Memfd("journal").get()).ok());
  EXPECT_TRUE(notify.Send("RELOADING=1\nSTATUS=Reading").ok());
  EXPECT_TRUE(notify.Send("STATUS=well").ok());
  EXPECT_TRUE(notify.Send("READY=1").ok());
  const Lines told = ReadUntilIdle(notify);
  EXPECT_EQ(
      Lines(told.end() - 4, told.end()),
      (Lines{"FDSTORE=1\nFDNAME=a", "RELOADING=1\nSTATUS=Reading", "STATUS=well", "READY=1"}));
  EXPECT_EQ(*(told.end() - 5), "FILL=" + std::to_string(told.size() - 5));
}

TEST_F(NotifySocketTest, TriesMoreAndMoreSeldom) {
  NotifySocket notify(clock);
  Fill(notify);
  EXPECT_EQ(notify.NextDeadline(), clock.Now() + NotifySocket::kFirstPause);
  for (int i = 0; i < 20; ++i) {
    clock.AdvanceTo(notify.NextDeadline());
    notify.RunDeadlines();
  }
  EXPECT_EQ(notify.NextDeadline(), clock.Now() + NotifySocket::kLongestPause);
  ReadUntilIdle(notify);
  Fill(notify);
  EXPECT_EQ(notify.NextDeadline(), clock.Now() + NotifySocket::kFirstPause);
}

TEST_F(NotifySocketTest, TellsTheRestBeforeTheProcessEnds) {
  const BootClock real;
  NotifySocket notify(real);
  const int taken = Fill(notify);
  EXPECT_TRUE(notify.Send("FDSTORE=1\nFDNAME=a", Memfd("journal").get()).ok());
  Lines told;
  std::thread manager([&] {
    const absl::Time latest = absl::Now() + absl::Seconds(20);
    while (told.size() < static_cast<std::size_t>(taken) + 2 && absl::Now() < latest)
      for (std::string& lines : ReadAll()) told.push_back(std::move(lines));
  });
  notify.Finish(absl::Seconds(20));
  EXPECT_TRUE(notify.idle());
  manager.join();
  EXPECT_EQ(told.back(), "FDSTORE=1\nFDNAME=a");
  EXPECT_EQ(fds.size(), 1u);
}

TEST_F(NotifySocketTest, EndsWithoutAManagerThatStandsStill) {
  const BootClock real;
  NotifySocket notify(real);
  Fill(notify);
  EXPECT_TRUE(notify.Send("BARRIER=1", Memfd("barrier").get()).ok());
  const absl::Time began = real.Now();
  notify.Finish(absl::Milliseconds(50));
  EXPECT_GE(real.Now() - began, absl::Milliseconds(50)) << "it may still read";
  EXPECT_EQ(CountMemfds(::getpid(), "barrier"), 0u) << "whoever waits for its end waits no more";
}

TEST_F(NotifySocketTest, EndsWithoutAManagerThatHasGone) {
  NotifySocket notify(clock);
  Fill(notify);
  Die();
  notify.Finish(absl::Seconds(20));
  EXPECT_TRUE(notify.idle());
}

TEST(NotifySocket, TellsNothingWithoutAServiceManager) {
  const FakeClock clock;
  for (const char* name : {"", "@", "relative", "vsock:2:5"}) {
    ::setenv("NOTIFY_SOCKET", name, 1);
    NotifySocket notify(clock);
    EXPECT_FALSE(notify.is_there()) << name;
    EXPECT_TRUE(absl::IsUnavailable(notify.Send("READY=1"))) << name;
  }
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(NotifySocket(clock).is_there());
}

TEST_F(NotifySocketTest, SaysThatTheManagerIsGone) {
  NotifySocket notify(clock);
  Die();
  EXPECT_TRUE(absl::IsUnavailable(notify.Send("STATUS=Starting")));
  EXPECT_TRUE(notify.idle()) << "nobody reads it later";
}

TEST_F(NotifySocketTest, LetsNothingWaitForAManagerThatHasGone) {
  NotifySocket notify(clock);
  Fill(notify);
  Die();
  clock.AdvanceTo(notify.NextDeadline());
  notify.RunDeadlines();
  EXPECT_TRUE(notify.idle());
}

TEST(NotifySocket, SaysThatNobodyIsThere) {
  const FakeClock clock;
  ::setenv("NOTIFY_SOCKET", "/nowhere/notify", 1);
  NotifySocket notify(clock);
  EXPECT_TRUE(absl::IsNotFound(notify.Send("READY=1")));
  ::unsetenv("NOTIFY_SOCKET");
}

}  // namespace
}  // namespace hlbuf
