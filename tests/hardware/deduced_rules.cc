// SPDX-License-Identifier: Apache-2.0
// Rules that were read out of the driver and that nobody has confirmed on a card. Each has its
// number in README.md.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <functional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/wire/packet.h"
#include "tests/hardware/card_rules.h"
#include "tests/support/child.h"
#include "tests/support/forked.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr int kKillPatienceMs = 60'000;
constexpr const char* kNoImporter =
    "no importer that may be let at this card; it would take a device with RDMA";
constexpr const char* kNoReset = "the card may not be reset; tests/run.sh --drill hardware does it";

// A process that has opened the card and given this one a descriptor of it, either of the card or
// of a dma-buf of it, and that does not react to anything.
class Opener {
 public:
  Opener(const std::string& node, const std::function<UniqueFd(const HlNode&)>& give)
      : pair_(SocketPair()), process_([&] {
          const HlNode opened(node);
          const UniqueFd given = give(opened);
          const std::byte word{1};
          const int fd = given ? given.get() : opened.fd();
          EXPECT_TRUE(SendPacket(pair_.theirs.get(), {&word, 1}, {&fd, 1}).ok());
          for (;;) ::pause();
        }) {
    pair_.theirs.Reset();
    const auto in = std::make_unique<PacketBuffer>();
    pollfd p = {.fd = pair_.ours.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&p, 1, kKillPatienceMs), 1);
    EXPECT_TRUE(ReceivePacket(pair_.ours.get(), *in).ok());
    if (!in->fds().empty()) given_ = std::move(in->fds().front());
    EXPECT_TRUE(given_) << "the opener gave nothing";
  }
  pid_t pid() const { return process_.pid(); }
  int given() const { return given_.get(); }
  void CloseGiven() { given_.Reset(); }

 private:
  struct Pair {
    UniqueFd ours, theirs;
  };
  static Pair SocketPair() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    return {.ours = UniqueFd(ends[0]), .theirs = UniqueFd(ends[1])};
  }
  Pair pair_;
  UniqueFd given_;
  Forked process_;
};

class DeducedRule : public CardRules {};

TEST_F(DeducedRule, D1_AControlNodeCanBelongToAnotherCard) {
  Rule(
      "a control node is numbered as its accel node, and leads to the card with that number in the "
      "driver's own count");
  std::vector<std::string> seen;
  bool other_card = false;
  for (const CardNodes& each : FindCards()) {
    const HlNode control(each.control);
    HwIp hw_ip = {};
    const int error = control.Info(kInfoHwIp, &hw_ip, sizeof hw_ip);
    const std::string here = each.Attribute("module_id");
    seen.push_back(absl::StrCat(each.control, " says module ",
                                error == 0 ? absl::StrCat(hw_ip.module_id) : std::strerror(error),
                                ", sysfs says ", here.empty() ? "nothing" : here));
    other_card |= error == 0 && !here.empty() && here != absl::StrCat(hw_ip.module_id);
  }
  const std::vector<std::string> others = OtherAccelerators();
  const std::string evidence = absl::StrCat(absl::StrJoin(seen, "; "), "; accelerators of others: ",
                                            others.empty() ? "none" : absl::StrJoin(others, ", "));
  if (nodes().legacy) return NotTested("before 6.7 a card has both its nodes from one number");
  if (other_card) return Judge(true, evidence);
  if (others.empty())
    return NotTested(absl::StrCat("the two counts agree on this machine: ", evidence));
  Judge(false, evidence);
}

TEST_F(DeducedRule, D2_BeforeKernel67AnOffsetIsForgotten) {
  Rule("before 6.7 an export with an offset shows the start of its allocation");
  if (!nodes().legacy) return NotTested("this driver is not older than 6.7");
  if (HasPhysicalAddresses()) return NotTested("this card exports physical addresses");
  const std::optional<Importer> importing = importer();
  if (!importing.has_value()) return NotTested(kNoImporter);
  const HlNode node(nodes().compute);
  const std::uint64_t chunk = Memory(node);
  const UniqueFd start = node.ExportFd(chunk, kPage);
  const UniqueFd window = node.ExportFd(chunk, kPage, 8 * kPage);
  const Outcome one = importing->Register(start.get(), 0, kPage);
  const Outcome two = importing->Register(window.get(), 0, kPage);
  ASSERT_EQ(one.error, 0);
  ASSERT_EQ(two.error, 0);
  EXPECT_EQ(importing->Write(one.value, 0, "the start"), 0);
  const std::string seen = importing->Read(two.value, 0, 9);
  Judge(seen == "the start", absl::StrCat("at offset 32768: '", seen, "'"));
}

TEST_F(DeducedRule, D3_BeforeKernel67AMappingHasOneExportedSize) {
  Rule("before 6.7 all exports of a mapping show as much as the last one of them");
  if (!nodes().legacy) return NotTested("this driver is not older than 6.7");
  if (HasPhysicalAddresses()) return NotTested("this card exports physical addresses");
  const std::optional<Importer> importing = importer();
  if (!importing.has_value()) return NotTested(kNoImporter);
  const HlNode node(nodes().compute);
  const std::uint64_t chunk = Memory(node);
  const UniqueFd large = node.ExportFd(chunk, 2 * kPage);
  const UniqueFd small = node.ExportFd(chunk, kPage);
  const Outcome registered = importing->Register(large.get(), 0, 2 * kPage);
  ASSERT_EQ(registered.error, 0);
  const int inside = importing->Write(registered.value, 0, "x");
  const int behind = importing->Write(registered.value, kPage, "x");
  Judge(inside == 0 && behind == EIO, absl::StrCat("of 2 pages, after an export of 1: first ",
                                                   inside, ", second ", behind, " (errno)"));
}

TEST_F(DeducedRule, D4_AResetKillsTheOpenerAloneAndWaitsForTheRest) {
  Rule(
      "a hard reset kills who opened the card, not who got its descriptor, and waits for that one");
  if (!card().MayBeReset()) return NotTested(kNoReset);
  const std::uint64_t count = nodes().Number("hard_reset_cnt");
  Opener opener(nodes().compute, [](const HlNode&) { return UniqueFd(); });
  HardReset();
  const std::optional<int> signal = KilledBy(opener.pid(), kKillPatienceMs);
  const std::string while_held = nodes().Attribute("status");
  const std::uint64_t count_while_held = nodes().Number("hard_reset_cnt");
  opener.CloseGiven();
  const bool back = ComesBack();
  Judge(
      signal == SIGKILL && while_held == "In reset" && count_while_held == count && back &&
          nodes().Number("hard_reset_cnt") == count + 1,
      absl::StrCat("opener killed by signal ", signal.value_or(0), ", status with the descriptor ",
                   "still here '", while_held, "', after it was closed ",
                   back ? "operational" : nodes().Attribute("status")));
}

TEST_F(DeducedRule, D5_AResetDoesNotKeepImportersAway) {
  Rule("an old dma-buf can be attached and mapped while its card resets");
  if (!card().MayBeReset()) return NotTested(kNoReset);
  const std::optional<Importer> importing = importer();
  if (!importing.has_value()) return NotTested(kNoImporter);
  Opener opener(nodes().compute, [this](const HlNode& node) { return Export(node).fd; });
  const Outcome before = importing->Register(opener.given(), 0, kBytes);
  if (before.error != 0)
    return NotTested(
        absl::StrCat("no import works here, reset or not: ", std::strerror(before.error)));
  importing->Deregister(before.value);
  HardReset();
  EXPECT_EQ(KilledBy(opener.pid(), kKillPatienceMs), SIGKILL);
  const std::string status = nodes().Attribute("status");
  const Outcome registered = importing->Register(opener.given(), 0, kBytes);
  if (registered.error == 0) importing->Deregister(registered.value);
  opener.CloseGiven();
  EXPECT_TRUE(ComesBack());
  Judge(status == "In reset" && registered.error == 0,
        absl::StrCat("status '", status, "', errno of the import ", registered.error));
}

TEST_F(DeducedRule, D6_EventsGatherWithoutAnEventfd) {
  Rule("GET_EVENTS tells of events also when no eventfd was registered");
  if (!nodes().IsStandIn())
    return NotTested("nothing makes a card report an event without harm; only the stand-in can");
  const HlNode node(nodes().compute);
  std::ofstream(nodes().DebugFile("trigger")) << HLSIM_EVENT << " " << kEventHardware;
  const std::uint64_t events = node.TakeEvents();
  Judge((events & kEventHardware) != 0, absl::StrCat("events ", events));
}

TEST_F(DeducedRule, D7_WhatAnOpenCardHasAllocatedIsCountedAsItsOwn) {
  Rule("DRAM_USAGE counts what was allocated through an open card, whoever has the handle");
  if (HasPhysicalAddresses()) return NotTested("this card's driver allocates nothing");
  const HlNode node(nodes().compute);
  HwIp hw_ip = {};
  DramUsage before = {}, after = {};
  ASSERT_EQ(node.Info(kInfoHwIp, &hw_ip, sizeof hw_ip), 0);
  ASSERT_EQ(node.Info(kInfoDramUsage, &before, sizeof before), 0);
  ASSERT_EQ(node.Alloc(1).error, 0);
  ASSERT_EQ(node.Info(kInfoDramUsage, &after, sizeof after), 0);
  const std::uint64_t page =
      hw_ip.default_page_bytes > 0 ? hw_ip.default_page_bytes : hw_ip.dram_page_bytes;
  Judge(before.mine == 0 && after.mine == page,
        absl::StrCat("of its own: ", before.mine, ", then ", after.mine, "; a page has ", page));
}

TEST_F(DeducedRule, D8_NoEventComesWithoutItsSign) {
  Rule("the registered eventfd is raised with each event that GET_EVENTS tells of");
  if (!nodes().IsStandIn())
    return NotTested("nothing makes a card report an event without harm; only the stand-in can");
  const HlNode node(nodes().compute);
  const UniqueFd eventfd = node.RegisterEventfd();
  pollfd p = {.fd = eventfd.get(), .events = POLLIN, .revents = 0};
  const int before = ::poll(&p, 1, 0);
  std::ofstream(nodes().DebugFile("trigger")) << HLSIM_EVENT << " " << kEventHardware;
  const int after = ::poll(&p, 1, 0);
  Judge(before == 0 && after == 1, absl::StrCat("readable before: ", before, ", after: ", after));
}

}  // namespace
}  // namespace hlbuf
