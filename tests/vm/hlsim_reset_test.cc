// SPDX-License-Identifier: Apache-2.0
// The stand-in resets as the driver does: who is told, who is killed, and when a card is given up.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/child.h"
#include "tests/support/forked.h"
#include "tests/support/texts.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr int kLongMs = 20'000;

bool IsTold(const UniqueFd& eventfd, int ms) {
  pollfd p = {.fd = eventfd.get(), .events = POLLIN, .revents = 0};
  return poll(&p, 1, ms) == 1;
}

void HardReset(const Hlsim& sim) { std::ofstream(sim.Attribute("hard_reset")) << "1"; }

// A process that has the device open, is told of events or not, and does not react.
class Opener {
 public:
  Opener(const Hlsim& sim, bool told)
      : process_([&] {
          const HlNode node(sim.Node());
          UniqueFd eventfd;
          if (told) eventfd = node.RegisterEventfd();
          ready_.Open();
          for (;;) pause();
        }) {
    ready_.Pass();
  }
  pid_t pid() const { return process_.pid(); }

 private:
  Gate ready_;
  Forked process_;
};

TEST(HlsimEvents, AreReadOnceAndClearedByReading) {
  const Hlsim sim;
  const HlNode node(sim.Node());
  const UniqueFd eventfd = node.RegisterEventfd();
  EXPECT_EQ(node.Info(kInfoRegisterEventfd, nullptr, 0, static_cast<unsigned>(eventfd.get())),
            EINVAL);
  EXPECT_FALSE(IsTold(eventfd, 0));
  sim.Trigger("event 0x40");
  sim.Trigger("event 0x80");
  EXPECT_TRUE(IsTold(eventfd, kLongMs));
  eventfd_t count = 0;
  EXPECT_EQ(eventfd_read(eventfd.get(), &count), 0);
  EXPECT_EQ(count, 2U);
  EXPECT_EQ(node.TakeEvents(), 0xc0U);
  EXPECT_EQ(node.TakeEvents(), 0U);
  std::uint32_t half = 0;
  EXPECT_EQ(node.Info(kInfoGetEvents, &half, sizeof half), EINVAL);
  EXPECT_EQ(node.Info(kInfoUnregisterEventfd, nullptr, 0), 0);
  EXPECT_EQ(node.Info(kInfoUnregisterEventfd, nullptr, 0), EINVAL);
  sim.Trigger("event 0x40");
  EXPECT_FALSE(IsTold(eventfd, 0));
}

TEST(HlsimWindow, LeavesTheDeviceWorkingUntilEverybodyLetsGoAndKillsNobody) {
  const Hlsim sim("watchdog_ms=600000");
  HlNode node(sim.Node());
  const HlNode control(sim.ControlNode());
  const UniqueFd eventfd = node.RegisterEventfd();
  const std::uint64_t chunk = node.Chunk(1);
  UniqueFd window = node.ExportFd(chunk, kPage);
  sim.Trigger("graceful 0x40");
  ASSERT_TRUE(IsTold(eventfd, kLongMs));
  EXPECT_EQ(node.TakeEvents(), kEventReset | kEventHardware);
  EXPECT_EQ(control.Status(), kOperational);
  EXPECT_TRUE(node.ExportFd(chunk, kPage));
  EXPECT_EQ(sim.HardResets(), 0U);
  node.Close();
  EXPECT_EQ(sim.HardResets(), 0U) << "the dma-buf keeps it open";
  window.Reset();
  EXPECT_EQ(sim.HardResets(), 1U) << "the reset runs in the last close";
  EXPECT_EQ(sim.Status(), "Operational\n");
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), 0);
}

TEST(HlsimWindow, IsNotProlongedByFurtherEvents) {
  const Hlsim sim;
  const Opener opener(sim, true);
  const auto start = std::chrono::steady_clock::now();
  sim.Trigger("graceful 0");
  while (KilledBy(opener.pid(), 100) == std::nullopt &&
         std::chrono::steady_clock::now() - start < std::chrono::milliseconds(kLongMs))
    sim.Trigger("graceful 0x40");
  EXPECT_EQ(KilledBy(opener.pid(), 0), SIGKILL);
  EXPECT_GE(std::chrono::steady_clock::now() - start,
            std::chrono::milliseconds(Hlsim::kWatchdogMs));
  EXPECT_TRUE(sim.BecomesOperational());
}

TEST(HlsimWindow, EndsWithSigkillOfTheOpener) {
  const Hlsim sim;
  const Opener opener(sim, true);
  const HlNode control(sim.ControlNode());
  sim.Trigger("graceful 0x40");
  EXPECT_EQ(KilledBy(opener.pid(), Hlsim::kWatchdogMs / 4), std::nullopt);
  EXPECT_EQ(KilledBy(opener.pid(), kLongMs), SIGKILL);
  EXPECT_TRUE(sim.BecomesOperational()) << sim.State();
  ResetCount count = {};
  EXPECT_EQ(control.Info(kInfoResetCount, &count, sizeof count), 0);
  EXPECT_EQ(count.hard, 1U);
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), 0);
}

TEST(HlsimWindow, HasTheLengthThatDebugfsSays) {
  const Hlsim sim("watchdog_ms=600000");
  EXPECT_EQ(ReadAll(sim.DebugFile("device_release_watchdog_timeout")), "600\n");
  std::ofstream(sim.DebugFile("device_release_watchdog_timeout")) << "1";
  EXPECT_EQ(ReadAll(sim.DebugFile("watchdog_ms")), "1000\n");
  const Opener opener(sim, true);
  sim.Trigger("graceful 0");
  EXPECT_EQ(KilledBy(opener.pid(), kLongMs), SIGKILL);
  EXPECT_TRUE(sim.BecomesOperational());
}

TEST(HlsimWindow, IsNotGrantedToThoseWhoCannotBeTold) {
  const Hlsim sim("watchdog_ms=600000");
  const Opener opener(sim, false);
  sim.Trigger("graceful 0x40");
  EXPECT_EQ(KilledBy(opener.pid(), kLongMs), SIGKILL);
  EXPECT_TRUE(sim.BecomesOperational());
}

TEST(HlsimWindow, IsNotGrantedByFirmwareThatResetsItself) {
  const Hlsim sim("watchdog_ms=600000 kill_delay_ms=600000");
  HlNode node(sim.Node());
  const UniqueFd eventfd = node.RegisterEventfd();
  sim.Trigger("firmware 0x400");
  ASSERT_TRUE(IsTold(eventfd, kLongMs));
  EXPECT_EQ(sim.Status(), "In reset\n");
  EXPECT_EQ(node.TakeEvents(), kEventReset | kEventUnavailable | kEventFirmware);
  EXPECT_EQ(node.Alloc(1).error, EBUSY);
  EXPECT_EQ(node.Info(kInfoRegisterEventfd, nullptr, 0, 0), EBUSY);
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), EAGAIN);
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.ControlNode()), 0);
  node.Close();
}

TEST(HlsimHardReset, TellsNobodyAndKillsTheOpener) {
  const Hlsim sim("watchdog_ms=600000");
  const Opener opener(sim, true);
  HardReset(sim);
  EXPECT_EQ(sim.Status(), "In reset\n");
  EXPECT_EQ(KilledBy(opener.pid(), kLongMs), SIGKILL);
  EXPECT_TRUE(sim.BecomesOperational());
  sim.Trigger(HLSIM_UNGRACEFUL);
  EXPECT_TRUE(Eventually([&] { return sim.HardResets() == 2; })) << sim.State();
}

TEST(HlsimHardReset, KillsTheOpenerAloneAndWaitsForWhoeverHasItsDescriptor) {
  const Hlsim sim("retries_max=1000");
  const Opener opener(sim, true);
  // The opener's descriptor, in this process as well.
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, opener.pid(), 0)));
  UniqueFd copy;
  for (int fd = 3; fd < 64 && !copy; ++fd) {
    UniqueFd candidate(static_cast<int>(syscall(SYS_pidfd_getfd, pidfd.get(), fd, 0)));
    const std::string link = "/proc/self/fd/" + std::to_string(candidate.get());
    char target[64] = {};
    if (readlink(link.c_str(), target, sizeof target - 1) > 0 && target == sim.Node())
      copy = std::move(candidate);
  }
  ASSERT_TRUE(copy);
  HardReset(sim);
  EXPECT_EQ(KilledBy(opener.pid(), kLongMs), SIGKILL);
  EXPECT_TRUE(Eventually([&] { return !Contains(sim.State(), "trials=0"); }));
  EXPECT_EQ(sim.Status(), "In reset\n");
  copy.Reset();
  EXPECT_TRUE(sim.BecomesOperational());
}

TEST(HlsimHardReset, WaitsForAnImporterAndGivesUpInTheEnd) {
  const Hlsim sim;
  Importer importer;
  Gate exported;
  {
    Forked opener([&] {
      const HlNode node(sim.Node());
      const UniqueFd window = node.ExportFd(node.Chunk(1), kPage);
      EXPECT_EQ(importer.Register(window.get(), 0, kPage).error, 0);
      exported.Open();
      for (;;) pause();
    });
    ASSERT_TRUE(exported.Pass());
    HardReset(sim);
    EXPECT_EQ(KilledBy(opener.pid(), kLongMs), SIGKILL);
  }
  EXPECT_TRUE(Eventually([&] { return sim.Status() == "Disabled\n"; })) << sim.State();
  EXPECT_EQ(sim.HardResets(), 1U) << "counted, although the hardware was never reset";
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), EPERM);
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.ControlNode()), EPERM);
  EXPECT_TRUE(Contains(importer.Held(), "exp=habanalabs"));

  importer.Close();
  EXPECT_EQ(sim.Status(), "Disabled\n") << "letting go alone does not bring it back";
  HardReset(sim);
  EXPECT_TRUE(sim.BecomesOperational());
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), 0);
}

TEST(HlsimHardReset, LetsImportersMapMeanwhile) {
  const Hlsim sim("kill_delay_ms=600000");
  const Importer importer;
  const HlNode node(sim.Node());
  const UniqueFd window = node.ExportFd(node.Chunk(1), kPage);
  HardReset(sim);
  EXPECT_EQ(sim.Status(), "In reset\n");
  EXPECT_EQ(importer.Register(window.get(), 0, kPage).error, 0);
}

TEST(HlsimHardReset, ComesWhenACloseFindsTheDeviceInUse) {
  const Hlsim sim;
  HlNode node(sim.Node());
  sim.Trigger("busy_close 1");
  node.Close();
  EXPECT_TRUE(Eventually([&] { return sim.HardResets() == 1; }));
  EXPECT_TRUE(sim.BecomesOperational());
}

TEST(HlsimHardReset, ForgetsWhatWasAllocated) {
  const Hlsim sim("watchdog_ms=600000");
  {
    HlNode node(sim.Node());
    const UniqueFd eventfd = node.RegisterEventfd();
    node.Chunk(1);
    sim.Trigger("graceful 0");
  }
  const HlNode node(sim.Node());
  DramUsage usage = {};
  EXPECT_EQ(node.Info(kInfoDramUsage, &usage, sizeof usage), 0);
  EXPECT_EQ(usage.mine, 0U);
  EXPECT_EQ(usage.free, 15U * (8 << 20));
  EXPECT_EQ(sim.HardResets(), 1U);
}

TEST(HlsimHardReset, CanFailInTheHardwareAndWorkTheNextTime) {
  const Hlsim sim;
  sim.Trigger("fail_resets 1");
  HardReset(sim);
  EXPECT_TRUE(Eventually([&] { return sim.Status() == "Disabled\n"; }));
  HardReset(sim);
  EXPECT_TRUE(sim.BecomesOperational());
}

TEST(HlsimHardReset, CanHangUntilItIsLetGo) {
  const Hlsim sim;
  sim.Trigger("hang_reset 1");
  HardReset(sim);
  EXPECT_FALSE(Eventually([&] { return sim.Status() != "In reset\n"; }, 200));
  sim.Trigger("hang_reset 0");
  EXPECT_TRUE(sim.BecomesOperational());
}

TEST(HlsimHardReset, LeavesNothingBehindAfterMany) {
  const Hlsim sim;
  const std::string before = ReadAll("/sys/kernel/debug/dma_buf/bufinfo");
  constexpr unsigned kTimes = 40;
  for (unsigned i = 0; i < kTimes; ++i) {
    Gate ready;
    Forked opener([&] {
      const HlNode node(sim.Node());
      const UniqueFd eventfd = node.RegisterEventfd();
      const std::uint64_t chunk = node.Chunk(1);
      std::vector<UniqueFd> windows;
      for (unsigned w = 0; w < 20; ++w) windows.push_back(node.ExportFd(chunk, kPage, w * kPage));
      ready.Open();
      if (i % 2 == 0 && IsTold(eventfd, kLongMs)) return;
      for (;;) pause();
    });
    ASSERT_TRUE(ready.Pass());
    if (i % 2 == 0) {
      sim.Trigger("graceful 0x40");
    } else {
      HardReset(sim);
    }
    ASSERT_TRUE(Eventually([&] { return sim.HardResets() == i + 1; })) << i << "\n" << sim.State();
    ASSERT_TRUE(sim.BecomesOperational());
  }
  EXPECT_TRUE(Contains(sim.State(), "used=0\n"));
  EXPECT_EQ(ReadAll("/sys/kernel/debug/dma_buf/bufinfo"), before);
}

TEST(HlsimHeartbeat, DisablesTheCardWhenItFailsAgainBeforeAnybodyCame) {
  const Hlsim sim;
  sim.Trigger(HLSIM_HEARTBEAT);
  EXPECT_TRUE(Eventually([&] { return sim.HardResets() == 1; }));
  EXPECT_TRUE(sim.BecomesOperational());
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), 0);
  sim.Trigger(HLSIM_HEARTBEAT);
  EXPECT_TRUE(Eventually([&] { return sim.HardResets() == 2; }));
  EXPECT_TRUE(sim.BecomesOperational());
  sim.Trigger(HLSIM_HEARTBEAT);
  EXPECT_TRUE(Eventually([&] { return sim.HardResets() == 3; }));
  EXPECT_EQ(sim.Status(), "Disabled\n");
}

TEST(HlsimHeartbeat, GrantsAWindowAndSaysThatTheFirmwareIsGone) {
  const Hlsim sim("watchdog_ms=600000");
  HlNode node(sim.Node());
  const UniqueFd eventfd = node.RegisterEventfd();
  sim.Trigger(HLSIM_HEARTBEAT);
  ASSERT_TRUE(IsTold(eventfd, kLongMs));
  EXPECT_EQ(node.TakeEvents(), kEventReset | kEventUnavailable | kEventFirmware);
  EXPECT_EQ(node.Status(), kOperational);
  node.Close();
  EXPECT_EQ(sim.Status(), "Operational\n");
  EXPECT_EQ(sim.HardResets(), 1U);
}

TEST(HlsimCreation, CountsAsOperational) {
  const Hlsim sim;
  sim.Trigger("creation 1");
  EXPECT_EQ(sim.Status(), "In device creation\n");
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), 0);
}

}  // namespace
}  // namespace hlbuf
