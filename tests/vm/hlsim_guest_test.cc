// SPDX-License-Identifier: Apache-2.0
// The stand-in for the habanalabs driver keeps the driver's contract: nodes, memory and
// exports.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/child.h"
#include "tests/support/forked.h"
#include "tests/support/texts.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMib = 1 << 20;
constexpr std::uint64_t kChunk = 8 * kMib;  // the stand-in's DRAM page

std::string Fdinfo(int fd) { return ReadAll("/proc/self/fdinfo/" + std::to_string(fd)); }

int UnknownRequest(const HlNode& node, unsigned long request) {
  char bytes[64] = {};
  return ioctl(node.fd(), request, bytes) == 0 ? 0 : errno;
}

TEST(HlsimNodes, AreFoundThroughSysfsAndSayWhatTheyAre) {
  const Hlsim sim;
  EXPECT_EQ(sim.Status(), "Operational\n");
  EXPECT_EQ(ReadAll(sim.Attribute("device_type")), "GAUDI2\n");
  EXPECT_EQ(ReadAll(sim.Attribute("pci_addr")), ReadAll(sim.Attribute("parent_device")));
  EXPECT_EQ(ReadAll(sim.Attribute("module_id")), "0\n");
  EXPECT_EQ(ReadAll(sim.Attribute("security_enabled")), "0\n");
  EXPECT_EQ(ReadAll("/sys/module/habanalabs/parameters/memory_scrub"), "N\n");
  EXPECT_EQ(ReadAll(sim.DebugFile("device_release_watchdog_timeout")), "1\n");
  struct stat node = {};
  ASSERT_EQ(stat(sim.Attribute("driver").c_str(), &node), 0);
  ASSERT_EQ(stat(sim.Node().c_str(), &node), 0);
  EXPECT_TRUE(S_ISCHR(node.st_mode));
}

TEST(HlsimNodes, HaveTheirOldNamesAndNumbersBeforeKernel67) {
  const Hlsim sim("legacy=66");
  const HlNode node(sim.Node());
  EXPECT_EQ(node.Status(), kOperational);
  EXPECT_EQ(HlNode(sim.ControlNode()).Status(), kOperational);
  EXPECT_EQ(sim.Status(), "Operational\n");
  EXPECT_EQ(UnknownRequest(node, 0xc0186440), ENOTTY);
  EXPECT_TRUE(node.ExportFd(node.Chunk(1), kPage));
}

TEST(HlsimNodes, ComeOneForEachCardAndTheControlNodeCanLeadToAnother) {
  const Hlsim sim("cards=2 swap_control=1");
  for (int card : {0, 1}) {
    HwIp info = {};
    EXPECT_EQ(HlNode(sim.ControlNode(card)).Info(kInfoHwIp, &info, sizeof info), 0);
    EXPECT_EQ(info.module_id, 1U - static_cast<unsigned>(card));
    EXPECT_EQ(ReadAll(sim.Attribute("module_id", card)), std::to_string(card) + "\n");
  }
}

TEST(HlsimNodes, LetOneUserInAndSayWhyNotTheNext) {
  const Hlsim sim;
  HlNode user(sim.Node());
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), EBUSY);
  OpenStats stats = {};
  const HlNode control(sim.ControlNode());
  EXPECT_EQ(control.Info(kInfoOpenStats, &stats, sizeof stats), 0);
  EXPECT_EQ(stats.opened, 1U);
  EXPECT_EQ(stats.active, 1U);
  user.Close();
  EXPECT_TRUE(Eventually([&] { return HlNode::ErrorOfOpening(sim.Node()) == 0; }));
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node(), O_EXCL), EBUSY);
}

TEST(HlsimNodes, AreNotOpenedWhileTheLastUserIsBeingCleanedUpAfter) {
  const Hlsim sim("release_ms=300");
  HlNode user(sim.Node());
  std::atomic<bool> closed = false;
  std::thread closer([&] {
    user.Close();
    closed = true;
  });
  EXPECT_TRUE(Eventually([&] { return HlNode::ErrorOfOpening(sim.Node()) == EAGAIN; }));
  EXPECT_EQ(sim.Status(), "In reset after device release\n");
  EXPECT_FALSE(closed) << "the reset runs in the close";
  closer.join();
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), 0);
  ResetCount count = {};
  EXPECT_EQ(HlNode(sim.ControlNode()).Info(kInfoResetCount, &count, sizeof count), 0);
  EXPECT_EQ(count.soft, 0U) << "resets after a release are not counted";
}

TEST(HlsimNodes, RefuseADisabledOrBrokenCard) {
  const Hlsim sim;
  const HlNode before(sim.ControlNode());
  std::ofstream(sim.DebugFile("device")) << "disable";
  EXPECT_EQ(sim.Status(), "Disabled\n");
  EXPECT_EQ(before.Status(), kMalfunction);
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), EPERM);
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.ControlNode()), EPERM);
  std::ofstream(sim.DebugFile("device")) << "enable";
  sim.Trigger(HLSIM_NEEDS_RESET);
  EXPECT_EQ(sim.Status(), "Needs reset\n");
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), EPERM);
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.ControlNode()), 0);
  std::ofstream(sim.Attribute("hard_reset")) << "1";
  EXPECT_TRUE(sim.BecomesOperational());
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), 0);
}

TEST(HlsimNodes, TakeOnlyInfoOnTheControlNodeAndNothingOfEvents) {
  const Hlsim sim;
  const HlNode control(sim.ControlNode());
  const HlNode another(sim.ControlNode());
  HwIp info = {};
  EXPECT_EQ(control.Info(kInfoHwIp, &info, sizeof info), 0);
  EXPECT_EQ(info.dram_page_bytes, kChunk);
  EXPECT_EQ(info.default_page_bytes, kChunk);
  EXPECT_EQ(info.dram_bytes, 15 * kChunk);
  EXPECT_EQ(info.device_id, 0x1020U);
  EXPECT_EQ(control.Alloc(kPage).error, ENOTTY);
  EXPECT_EQ(UnknownRequest(control, 0xc0286445), ENOTTY);
  std::uint64_t events = 0;
  EXPECT_EQ(control.Info(kInfoGetEvents, &events, sizeof events), EOPNOTSUPP);
  EXPECT_EQ(control.Info(kInfoRegisterEventfd, nullptr, 0, 0), EOPNOTSUPP);
  EXPECT_EQ(control.Info(kInfoUnregisterEventfd, nullptr, 0), EOPNOTSUPP);
  EXPECT_EQ(control.Info(kInfoStatus, &events, sizeof events, 0, 1), EINVAL) << "padding";
  EXPECT_EQ(control.Info(kInfoStatus, nullptr, 0), EINVAL);
}

TEST(HlsimNodes, GoWithTheCardAndComeBackWithIt) {
  const Hlsim sim("cards=2");
  const HlNode control(sim.ControlNode());
  const HlNode node(sim.Node(1));
  const UniqueFd window = node.ExportFd(node.Chunk(1), kPage);
  Gate opened;
  const Forked opener([&] {
    const HlNode own(sim.Node());
    opened.Open();
    for (;;) pause();
  });
  ASSERT_TRUE(opened.Pass());
  std::ofstream("/sys/bus/platform/drivers/habanalabs/unbind") << "0000:a0:00.0";
  EXPECT_EQ(KilledBy(opener.pid(), kPatienceMs), SIGKILL);
  std::uint64_t status = 0;
  EXPECT_EQ(control.Info(kInfoStatus, &status, sizeof status), ENODEV);
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), ENOENT);
  EXPECT_EQ(node.Status(), kOperational) << "the other card";
  std::ofstream("/sys/bus/platform/drivers/habanalabs/bind") << "0000:a0:00.0";
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), 0);
}

TEST(HlsimNodes, HaveAPlaceInThePciTreeWhenTheCardsAreThere) {
  const Hlsim sim("pci=1");
  int behind_a_switch = 0;
  for (int card : {0, 1}) {
    ASSERT_NE(sim.Status(card), "") << "the guest has not the two devices that run.sh gives it";
    std::string place = std::filesystem::canonical(sim.Attribute("", card));
    EXPECT_TRUE(Contains(place, "/pci0000:00/"));
    EXPECT_EQ(std::filesystem::path(place).filename().string() + "\n",
              ReadAll(sim.Attribute("pci_addr", card)));
    if (std::count(place.begin(), place.end(), '/') > 6) ++behind_a_switch;
    const HlNode node(sim.Node(card));
    EXPECT_TRUE(node.ExportFd(node.Chunk(1), kPage));
  }
  EXPECT_EQ(behind_a_switch, 1);
}

TEST(HlsimMemory, ComesInWholePagesOfTheDriver) {
  const Hlsim sim;
  const HlNode node(sim.Node());
  EXPECT_EQ(node.Alloc(0).error, EINVAL);
  const Outcome one = node.Alloc(1);
  DramUsage usage = {};
  EXPECT_EQ(node.Info(kInfoDramUsage, &usage, sizeof usage), 0);
  EXPECT_EQ(usage.mine, kChunk);
  EXPECT_EQ(usage.free, 14 * kChunk);
  EXPECT_EQ(node.Alloc(14 * kChunk + 1).error, ENOMEM);
  EXPECT_EQ(node.Alloc(14 * kChunk).error, 0);
  EXPECT_EQ(node.Alloc(1).error, ENOMEM);
  EXPECT_EQ(node.Free(one.value).error, 0);
  EXPECT_EQ(node.Free(one.value).error, EINVAL);
  EXPECT_EQ(node.Alloc(1).error, 0);
}

TEST(HlsimMemory, GoesInOrderExportsThenMappingThenHandle) {
  const Hlsim sim;
  const HlNode node(sim.Node());
  EXPECT_EQ(node.Map(77).error, EINVAL);
  const Outcome handle = node.Alloc(kChunk);
  const Outcome address = node.Map(handle.value);
  ASSERT_EQ(address.error, 0);
  UniqueFd first = node.ExportFd(address.value, kPage);
  UniqueFd second = node.ExportFd(address.value, kChunk);
  EXPECT_EQ(node.Free(handle.value).error, EINVAL) << "mapped";
  EXPECT_EQ(node.Unmap(address.value).error, EINVAL) << "exported twice";
  first.Reset();
  EXPECT_EQ(node.Unmap(address.value).error, EINVAL) << "exported once";
  second.Reset();
  EXPECT_EQ(node.Unmap(address.value).error, 0);
  EXPECT_EQ(node.Unmap(address.value).error, EINVAL);
  EXPECT_EQ(node.Free(handle.value).error, 0);
}

TEST(HlsimExport, MakesADmaBufOfTheDriversNameThatCannotBeMapped) {
  const Hlsim sim;
  const HlNode node(sim.Node());
  const UniqueFd made = node.ExportFd(node.Chunk(1), 16 * kPage, kPage);
  const std::string fdinfo = Fdinfo(made.get());
  EXPECT_TRUE(Contains(fdinfo, "exp_name:\thabanalabs\n"));
  EXPECT_TRUE(Contains(fdinfo, "size:\t65536\n"));
  EXPECT_TRUE(Contains(fdinfo, "count:\t1\n"));
  EXPECT_EQ(mmap(nullptr, kPage, PROT_READ, MAP_SHARED, made.get(), 0), MAP_FAILED);
  EXPECT_EQ(errno, EINVAL);
  dma_buf_sync sync = {.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ};
  EXPECT_EQ(ioctl(made.get(), DMA_BUF_IOCTL_SYNC, &sync), 0);
  EXPECT_NE(fcntl(made.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(HlsimExport, RefusesWhatTheDriverRefuses) {
  const Hlsim sim;
  const HlNode node(sim.Node());
  const std::uint64_t chunk = node.Chunk(1);
  EXPECT_EQ(node.Export(chunk + 1, kPage).error, EINVAL);
  EXPECT_EQ(node.Export(chunk, 0).error, EINVAL);
  EXPECT_EQ(node.Export(chunk, kPage + 1).error, EINVAL);
  EXPECT_EQ(node.Export(chunk, kPage, 1).error, EINVAL);
  EXPECT_EQ(node.Export(chunk + kPage, kPage).error, EINVAL) << "not an address of MAP";
  EXPECT_EQ(node.Export(chunk, kChunk, kPage).error, EINVAL) << "past the end";
  EXPECT_EQ(node.Export(chunk, kPage, ~std::uint64_t{0} - kPage + 1).error, EINVAL) << "wraps";
  EXPECT_TRUE(node.ExportFd(chunk, kPage, kChunk - kPage)) << "the rounded size counts";
  std::ofstream(sim.DebugFile("device")) << "disable";
  EXPECT_EQ(node.Export(chunk, kPage).error, EBUSY);
  std::ofstream(sim.DebugFile("device")) << "enable";
}

TEST(HlsimExport, NeedsTheWholeAllocationInsideTheBar) {
  const Hlsim sim("bar_mib=16");
  const HlNode node(sim.Node());
  const std::uint64_t inside = node.Chunk(kChunk);
  EXPECT_TRUE(node.ExportFd(inside, kPage));
  const std::uint64_t partly = node.Chunk(2 * kChunk);
  EXPECT_EQ(node.Export(partly, kPage).error, EINVAL);
}

TEST(HlsimExport, SaysWhenThereIsNoDescriptorLeft) {
  const Hlsim sim;
  const HlNode node(sim.Node());
  const std::uint64_t chunk = node.Chunk(1);
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none_left = {.rlim_cur = static_cast<rlim_t>(node.fd()) + 1,
                            .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none_left), 0);
  const int error = node.Export(chunk, kPage).error;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(error, EMFILE);
  EXPECT_TRUE(Contains(sim.State(), "exports=0"));
}

TEST(HlsimExport, FailsAsItIsToldTo) {
  const Hlsim sim;
  const HlNode node(sim.Node());
  const std::uint64_t chunk = node.Chunk(1);
  sim.Inject("export ENOMEM 2 1");
  EXPECT_EQ(ReadAll(sim.DebugFile("inject")), "export 12 2 1\n");
  EXPECT_TRUE(node.ExportFd(chunk, kPage));
  EXPECT_EQ(node.Export(chunk, kPage).error, ENOMEM);
  EXPECT_EQ(node.Export(chunk, kPage).error, ENOMEM);
  EXPECT_TRUE(node.ExportFd(chunk, kPage));
  for (const char* rule : {"alloc ENOMEM 1", "map 5 1", "open ENODEV 9"}) sim.Inject(rule);
  EXPECT_EQ(node.Alloc(1).error, ENOMEM);
  EXPECT_EQ(node.Map(1).error, EIO);
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), ENODEV);
  HwIp info = {};
  sim.Inject("hw_ip_info EIO 1");
  EXPECT_EQ(node.Status(), kOperational) << "INFO, but another one";
  EXPECT_EQ(node.Info(kInfoHwIp, &info, sizeof info), EIO);
  EXPECT_EQ(node.Info(kInfoHwIp, &info, sizeof info), 0);
  sim.Inject("info EINTR 1");
  EXPECT_EQ(node.Info(kInfoHwIp, &info, sizeof info), EINTR);
  sim.Inject("clear");
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), EBUSY);
}

TEST(HlsimExport, KeepsTheComputeNodeOpen) {
  const Hlsim sim;
  HlNode user(sim.Node());
  UniqueFd first = user.ExportFd(user.Chunk(1), kPage);
  UniqueFd second(fcntl(first.get(), F_DUPFD_CLOEXEC, 0));
  user.Close();
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), EBUSY);
  first.Reset();
  EXPECT_EQ(HlNode::ErrorOfOpening(sim.Node()), EBUSY);
  OpenStats stats = {};
  const HlNode control(sim.ControlNode());
  EXPECT_EQ(control.Info(kInfoOpenStats, &stats, sizeof stats), 0);
  EXPECT_EQ(stats.active, 1U);
  EXPECT_EQ(stats.releasing, 0U);
  second.Reset();
  EXPECT_TRUE(HlNode(sim.Node()).fd() >= 0);
  EXPECT_EQ(sim.HardResets(), 0U);
}

TEST(HlsimExport, MakesThousandsOfWindowsOfOneMapping) {
  const Hlsim sim;
  const HlNode node(sim.Node());
  const std::uint64_t chunk = node.Chunk(kChunk);
  rlimit files = {.rlim_cur = 4096, .rlim_max = 4096};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  std::vector<UniqueFd> windows;
  for (std::uint64_t i = 0; i < 2000; ++i)
    windows.push_back(node.ExportFd(chunk, kPage, i * kPage));
  EXPECT_TRUE(Contains(sim.State(), "exports=2000"));
  windows.clear();
  EXPECT_EQ(node.Unmap(chunk).error, 0);
}

}  // namespace
}  // namespace hlbuf
