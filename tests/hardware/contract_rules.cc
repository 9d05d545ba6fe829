// SPDX-License-Identifier: Apache-2.0
// What the product leans on: documented or read in the driver, and not yet seen on a card. Nothing
// here resets the card, beyond what closing it does.
#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "tests/hardware/card_rules.h"
#include "tests/support/child.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr const char* kOtherControl = "its control node leads to another card";

std::string Errno(int error) { return error == 0 ? "success" : std::strerror(error); }

class Contract : public CardRules {
 protected:
  std::string Line(const UniqueFd& fd, const std::string& key) const {
    const std::string text = ReadAll(absl::StrCat("/proc/self/fdinfo/", fd.get()));
    const std::size_t at = text.find(key + ":\t");
    return at == std::string::npos ? "" : text.substr(at, text.find('\n', at) - at);
  }
};

TEST_F(Contract, C1_ACardOpensOnce) {
  Rule("a second open of the compute node is refused by EBUSY");
  const HlNode node(nodes().compute);
  const int error = HlNode::ErrorOfOpening(nodes().compute);
  Judge(error == EBUSY, Errno(error));
}

TEST_F(Contract, C2_AControlNodeOpensBesideAndTakesInfoAlone) {
  Rule("the control node opens while the card is in use, and takes INFO alone, by ENOTTY");
  if (!HasOwnControl()) return NotTested(kOtherControl);
  const HlNode node(nodes().compute);
  const HlNode control(nodes().control);
  const std::uint32_t status = control.Status();
  const Outcome memory = control.Alloc(1);
  std::uint64_t events = 0;
  const int get_events = control.Info(kInfoGetEvents, &events, sizeof events);
  Judge(status == kOperational && memory.error == ENOTTY && get_events != 0,
        absl::StrCat("status ", status, ", MEMORY: ", Errno(memory.error),
                     ", GET_EVENTS: ", Errno(get_events)));
}

TEST_F(Contract, C3_AnAllocationTakesWholePagesOfTheCard) {
  Rule("one byte takes a page of dram_page_size");
  if (HasPhysicalAddresses()) return NotTested("this card has no allocator");
  const HlNode node(nodes().compute);
  HwIp hw_ip = {};
  DramUsage before = {}, after = {};
  ASSERT_EQ(node.Info(kInfoHwIp, &hw_ip, sizeof hw_ip), 0);
  ASSERT_EQ(node.Info(kInfoDramUsage, &before, sizeof before), 0);
  const Outcome handle = node.Alloc(1);
  ASSERT_EQ(handle.error, 0);
  ASSERT_EQ(node.Info(kInfoDramUsage, &after, sizeof after), 0);
  EXPECT_EQ(node.Free(handle.value).error, 0);
  Judge(before.free - after.free == hw_ip.dram_page_bytes,
        absl::StrCat("dram_page_size ", hw_ip.dram_page_bytes, ", taken ", before.free - after.free,
                     ", of ", hw_ip.dram_bytes));
}

TEST_F(Contract, C4_AnExportIsADmaBufThatCountsItsReferences) {
  Rule("fdinfo of an export says habanalabs, and counts 1 for one descriptor, 2 for two");
  const HlNode node(nodes().compute);
  const CardExport made = Export(node);
  ASSERT_TRUE(made.fd);
  const std::string name = Line(made.fd, "exp_name"), one = Line(made.fd, "count");
  const UniqueFd copy(::fcntl(made.fd.get(), F_DUPFD_CLOEXEC, 0));
  const std::string two = Line(made.fd, "count");
  Judge(name == "exp_name:\thabanalabs" && one == "count:\t1" && two == "count:\t2",
        absl::StrCat(name, ", ", one, ", then ", two));
}

TEST_F(Contract, C5_AnExportCannotBeMappedByTheProcessor) {
  Rule("mmap() of an export is refused by EINVAL");
  const HlNode node(nodes().compute);
  const CardExport made = Export(node);
  void* mapped = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, made.fd.get(), 0);
  const int error = mapped == MAP_FAILED ? errno : 0;
  if (error == 0) ::munmap(mapped, 4096);
  Judge(error == EINVAL, Errno(error));
}

TEST_F(Contract, C6_UnmapIsRefusedWhileAnExportLives) {
  Rule("UNMAP of a mapping with an export is refused by EINVAL, and done once it has gone");
  if (HasPhysicalAddresses()) return NotTested("this card has no mappings");
  const HlNode node(nodes().compute);
  CardExport made = Export(node);
  const int with = node.Unmap(made.address).error;
  made.fd.Reset();
  int without = EINVAL;  // the last reference goes a little later than the close
  EXPECT_TRUE(Eventually([&] { return (without = node.Unmap(made.address).error) == 0; }));
  Judge(with == EINVAL && without == 0,
        absl::StrCat("with: ", Errno(with), ", without: ", Errno(without)));
}

TEST_F(Contract, C7_ADmaBufKeepsItsCardOpen) {
  Rule("a card whose descriptor is closed stays taken, by EBUSY, as long as a dma-buf of it lives");
  if (!HasOwnControl()) return NotTested(kOtherControl);
  HlNode node(nodes().compute);
  CardExport made = Export(node);
  node.Close();
  const int with = HlNode::ErrorOfOpening(nodes().compute);
  OpenStats stats = {};
  const HlNode control(nodes().control);
  EXPECT_EQ(control.Info(kInfoOpenStats, &stats, sizeof stats), 0);
  made.fd.Reset();
  const HlNode again(nodes().compute);
  Judge(with == EBUSY && stats.active == 1 && again.fd() >= 0,
        absl::StrCat("open with a dma-buf: ", Errno(with), ", OPEN_STATS active ", stats.active,
                     ", afterwards ", again.fd() >= 0 ? "opened" : "refused"));
}

TEST_F(Contract, C8_AnEventfdIsRegisteredOnce) {
  Rule("a second REGISTER_EVENTFD is refused by EINVAL");
  const HlNode node(nodes().compute);
  const UniqueFd first = node.RegisterEventfd();
  const int error = node.Info(kInfoRegisterEventfd, nullptr, 0, static_cast<unsigned>(first.get()));
  EXPECT_EQ(node.Info(kInfoUnregisterEventfd, nullptr, 0), 0);
  Judge(error == EINVAL, Errno(error));
}

TEST_F(Contract, C9_WindowsAreCutFromOneMapping) {
  Rule("a mapping is exported as many windows, each a dma-buf of its own (from 6.7 on)");
  if (nodes().legacy || HasPhysicalAddresses())
    return NotTested("the service cuts no windows on this driver or card");
  constexpr int kWindows = 256;
  const HlNode node(nodes().compute);
  const std::uint64_t chunk = Memory(node, kWindows * kBytes);
  std::vector<UniqueFd> windows;
  for (std::uint64_t i = 0; i < kWindows; ++i) {
    const Outcome made = node.Export(chunk, kBytes, i * kBytes);
    if (made.error != 0) return Judge(false, absl::StrCat("window ", i, ": ", Errno(made.error)));
    windows.emplace_back(static_cast<int>(made.value));
  }
  Judge(Line(windows.back(), "size") == absl::StrCat("size:\t", kBytes),
        absl::StrCat(kWindows, " windows, the last: ", Line(windows.back(), "size")));
}

TEST_F(Contract, C10_SizesAreWholePagesFromKernel67On) {
  Rule("an export of 4097 bytes is refused by EINVAL from 6.7 on, and rounded up before");
  const HlNode node(nodes().compute);
  const Outcome made = node.Export(Memory(node), 4097);
  const UniqueFd fd(made.error == 0 ? static_cast<int>(made.value) : -1);
  Judge(made.error == (nodes().legacy ? 0 : EINVAL), Errno(made.error));
}

}  // namespace
}  // namespace hlbuf
