// SPDX-License-Identifier: Apache-2.0
// The importer beside the stand-in: what it sees, what it holds, and what is left in the memory.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/child.h"
#include "tests/support/texts.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kChunk = 8 << 20;  // the stand-in's DRAM page

std::string Fdinfo(int fd) { return ReadAll("/proc/self/fdinfo/" + std::to_string(fd)); }

TEST(HlsimImport, ReadsAndWritesTheBytesOfItsWindowAlone) {
  const Hlsim sim;
  const Importer importer;
  const HlNode node(sim.Node());
  const std::uint64_t chunk = node.Chunk(2 * kChunk);
  const UniqueFd whole = node.ExportFd(chunk, 2 * kChunk);
  const UniqueFd window = node.ExportFd(chunk, 4 * kPage, kChunk - 2 * kPage);
  const Outcome all = importer.Register(whole.get(), 0, 2 * kChunk);
  const Outcome some = importer.Register(window.get(), 100, 3 * kPage);
  ASSERT_EQ(all.error, 0);
  ASSERT_EQ(some.error, 0);
  const std::string text(3 * kPage, 'x');
  EXPECT_EQ(importer.Write(some.value, 0, text), 0);
  EXPECT_EQ(importer.Read(all.value, kChunk - 2 * kPage + 99, text.size() + 2),
            std::string(1, '\0') + text + std::string(1, '\0'));
  EXPECT_EQ(importer.Write(some.value, 1, text), EINVAL) << "past its end";
  EXPECT_EQ(importer.Register(window.get(), kPage, 4 * kPage).error, EINVAL);
}

TEST(HlsimImport, HoldsTheBufferAfterItsDescriptorIsClosed) {
  const Hlsim sim;
  Importer importer;
  const HlNode node(sim.Node());
  const std::uint64_t chunk = node.Chunk(1);
  UniqueFd window = node.ExportFd(chunk, kPage);
  struct stat file = {};
  ASSERT_EQ(fstat(window.get(), &file), 0);
  const Outcome first = importer.Register(window.get(), 0, kPage);
  ASSERT_EQ(importer.Register(window.get(), 0, kPage).error, 0);
  EXPECT_TRUE(Contains(Fdinfo(window.get()), "count:\t3\n"));
  window.Reset();
  EXPECT_TRUE(
      Contains(importer.Held(), " ino=" + std::to_string(file.st_ino) + " exp=habanalabs "));
  EXPECT_TRUE(Contains(ReadAll("/sys/kernel/debug/dma_buf/bufinfo"), "hlimport"));
  EXPECT_EQ(importer.Deregister(first.value), 0);
  EXPECT_EQ(importer.Deregister(first.value), ENOENT);
  EXPECT_EQ(node.Unmap(chunk).error, EINVAL);
  importer.Close();
  EXPECT_TRUE(Eventually([&] { return node.Unmap(chunk).error == 0; }));
  EXPECT_EQ(importer.Held(), "");
}

// The lists of the kernel, of the card and of the importer are locked one inside the other.
TEST(HlsimImport, GoesOnWhileBuffersAreMadeAndListed) {
  const Hlsim sim;
  const Importer importer;
  const HlNode node(sim.Node());
  const std::uint64_t chunk = node.Chunk(1);
  const UniqueFd kept = node.ExportFd(chunk, kChunk);
  std::atomic<bool> enough = false;
  std::vector<std::thread> others;
  others.emplace_back([&] {
    while (!enough) node.ExportFd(chunk, kPage);
  });
  others.emplace_back([&] {
    while (!enough) ReadAll("/sys/kernel/debug/dma_buf/bufinfo");
  });
  others.emplace_back([&] {
    while (!enough) sim.State();
  });
  for (int i = 0; i < 300; ++i) {
    const Outcome region = importer.Register(kept.get(), 0, kChunk);
    EXPECT_EQ(region.error, 0);
    EXPECT_EQ(importer.Deregister(region.value), 0);
  }
  enough = true;
  for (std::thread& other : others) other.join();
}

TEST(HlsimImport, FailsWithoutPeerToPeerOnEitherSide) {
  const Hlsim sim;
  const Importer importer("p2p=0");
  const HlNode node(sim.Node());
  const UniqueFd window = node.ExportFd(node.Chunk(1), kPage);
  EXPECT_EQ(importer.Register(window.get(), 0, kPage).error, EPERM);
  importer.Set("p2p", "1");
  sim.Set("p2pdma", "0");
  EXPECT_EQ(importer.Register(window.get(), 0, kPage).error, EPERM);
  sim.Set("p2pdma", "1");
  EXPECT_EQ(importer.Register(window.get(), 0, kPage).error, 0);
}

TEST(HlsimImport, FailsForADriverThatAttachesWithoutSayingAnythingOfPeers) {
  struct {
    std::uint32_t handle, flags;
    std::int32_t fd;
  } import = {};
  const Hlsim sim;
  ASSERT_EQ(std::system("modprobe vgem"), 0);
  const UniqueFd card(open("/dev/dri/card0", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(card);
  const HlNode node(sim.Node());
  const UniqueFd window = node.ExportFd(node.Chunk(1), kPage);
  import.fd = window.get();
  EXPECT_EQ(ioctl(card.get(), _IOWR('d', 0x2e, import), &import), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_TRUE(Contains(Fdinfo(window.get()), "count:\t1\n"));
}

// What was written at the start of a chunk, as the next user of the device finds it.
std::string LeftForTheNextUser(const Hlsim& sim) {
  const Importer importer;
  for (const char* said : {"secret", ""}) {
    const HlNode node(sim.Node());
    const UniqueFd window = node.ExportFd(node.Chunk(1), kPage);
    const Outcome region = importer.Register(window.get(), 0, kPage);
    if (*said == '\0') {
      std::string found = importer.Read(region.value, 0, 6);
      EXPECT_EQ(importer.Deregister(region.value), 0);
      return found;
    }
    EXPECT_EQ(importer.Write(region.value, 0, said), 0);
    EXPECT_EQ(importer.Deregister(region.value), 0);
  }
  return "";
}

TEST(HlsimScrub, IsNotDoneUnlessTheDriverIsToldTo) {
  const Hlsim sim;
  EXPECT_EQ(LeftForTheNextUser(sim), "secret");
}

TEST(HlsimScrub, ClearsWhatTheLastUserHadWhenItWasAskedFor) {
  const Hlsim sim("memory_scrub=1");
  EXPECT_EQ(ReadAll("/sys/module/habanalabs/parameters/memory_scrub"), "Y\n");
  EXPECT_EQ(LeftForTheNextUser(sim), std::string(6, '\0'));
}

TEST(HlsimScrub, IsNotDoneBetweenTwoAllocationsOfOneUserEvenThen) {
  const Hlsim sim("memory_scrub=1");
  const Importer importer;
  const HlNode node(sim.Node());
  const Outcome handle = node.Alloc(1);
  const Outcome address = node.Map(handle.value);
  UniqueFd window = node.ExportFd(address.value, kPage);
  const Outcome region = importer.Register(window.get(), 0, kPage);
  EXPECT_EQ(importer.Write(region.value, 0, "mine"), 0);
  EXPECT_EQ(importer.Deregister(region.value), 0);
  window.Reset();
  EXPECT_TRUE(Eventually([&] { return node.Unmap(address.value).error == 0; }));
  EXPECT_EQ(node.Free(handle.value).error, 0);
  window = node.ExportFd(node.Chunk(1), kPage);
  const Outcome again = importer.Register(window.get(), 0, kPage);
  EXPECT_EQ(importer.Read(again.value, 0, 4), "mine");
}

TEST(HlsimGaudi, ExportsPhysicalRangesThatItsUserChooses) {
  const Hlsim sim("asic=gaudi");
  const Importer importer;
  HlNode node(sim.Node());
  HwIp info = {};
  ASSERT_EQ(node.Info(kInfoHwIp, &info, sizeof info), 0);
  EXPECT_EQ(ReadAll(sim.Attribute("device_type")), "GAUDI\n");
  const Outcome handle = node.Alloc(kPage);
  EXPECT_EQ(handle.error, 0);
  EXPECT_EQ(handle.value, 0U);
  EXPECT_EQ(node.Map(handle.value).error, EINVAL);
  const std::uint64_t end = info.dram_base + info.dram_bytes;
  EXPECT_EQ(node.Export(info.dram_base, kPage, kPage).error, EINVAL) << "an offset";
  EXPECT_EQ(node.Export(info.dram_base - kPage, kPage).error, EINVAL);
  EXPECT_EQ(node.Export(end - kPage, 2 * kPage).error, EINVAL);
  const UniqueFd last = node.ExportFd(end - kPage, kPage);
  const UniqueFd same = node.ExportFd(end - 2 * kPage, 2 * kPage);
  const Outcome one = importer.Register(last.get(), 0, kPage);
  const Outcome two = importer.Register(same.get(), 0, 2 * kPage);
  EXPECT_EQ(importer.Write(one.value, 0, "gaudi"), 0);
  EXPECT_EQ(importer.Read(two.value, kPage, 5), "gaudi");
}

TEST(HlsimLegacy, ExportsTheStartWhateverTheOffsetBefore67) {
  const Hlsim sim("legacy=66");
  const Importer importer;
  const HlNode node(sim.Node());
  const std::uint64_t chunk = node.Chunk(1);
  const UniqueFd start = node.ExportFd(chunk, kPage);
  const UniqueFd window = node.ExportFd(chunk, kPage, 8 * kPage);
  const Outcome one = importer.Register(start.get(), 0, kPage);
  const Outcome two = importer.Register(window.get(), 0, kPage);
  EXPECT_EQ(importer.Write(one.value, 0, "start"), 0);
  EXPECT_EQ(importer.Read(two.value, 0, 5), "start");
  EXPECT_TRUE(node.ExportFd(chunk, kPage + 1)) << "sizes are rounded up";
}

TEST(HlsimLegacy, ExportsPhysicalRangesAloneInKernel61) {
  {
    const Hlsim sim("legacy=61");
    const HlNode node(sim.Node());
    EXPECT_EQ(node.Export(node.Chunk(1), kPage).error, EOPNOTSUPP);
  }
  const Hlsim sim("legacy=61 asic=gaudi");
  HlNode node(sim.Node());
  UniqueFd made = node.ExportFd(0x20000000, kPage);
  node.Close();
  EXPECT_TRUE(Eventually([&] { return sim.Status() == "In reset\n"; }))
      << "nothing keeps the node open for the dma-buf";
  made.Reset();
  EXPECT_TRUE(sim.BecomesOperational());
  EXPECT_EQ(sim.HardResets(), 1U);
}

}  // namespace
}  // namespace hlbuf
