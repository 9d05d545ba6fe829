// SPDX-License-Identifier: Apache-2.0
#include "tests/hardware/card_rules.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "tests/support/child.h"

namespace hlbuf {
namespace {

// The driver's own patience with those who have a card open, and then some.
constexpr int kResetPatienceMs = 120'000;

}  // namespace

void CardRules::SetUp() {
  card_ = std::make_unique<CardUnderTest>("memory_scrub=0 pending_ms=10000 retries_max=60");
  if (nodes().pci.empty()) return;  // which has failed the test
  const int error = HlNode::ErrorOfOpening(nodes().compute);
  if (error != 0 && error != EAGAIN)
    NotTested(absl::StrCat(nodes().compute, ": ", std::strerror(error),
                           error == EBUSY ? "; somebody has the card open" : ""));
}

void CardRules::Judge(bool holds, const std::string& evidence) {
  RecordProperty("verdict", holds ? "confirmed" : "contradicted");
  RecordProperty("evidence", evidence);
  EXPECT_TRUE(holds) << evidence;
}

void CardRules::NotTested(const std::string& why) {
  RecordProperty("verdict", "not tested");
  RecordProperty("evidence", why);
  GTEST_SKIP() << why;
}

bool CardRules::HasPhysicalAddresses() const {
  const std::string type = nodes().Attribute("device_type");
  return type == "GAUDI" || type == "GAUDI SEC";
}

std::uint64_t CardRules::Memory(const HlNode& node, std::uint64_t bytes) const {
  if (!HasPhysicalAddresses()) return node.Chunk(bytes);
  HwIp hw_ip = {};
  EXPECT_EQ(node.Info(kInfoHwIp, &hw_ip, sizeof hw_ip), 0);
  return hw_ip.dram_base;
}

CardExport CardRules::Export(const HlNode& node) const {
  const std::uint64_t address = Memory(node);
  return {.address = address, .fd = node.ExportFd(address, kBytes)};
}

bool CardRules::HasOwnControl() const {
  const HlNode control(nodes().control);
  HwIp hw_ip = {};
  const std::string module = nodes().Attribute("module_id");
  return control.Info(kInfoHwIp, &hw_ip, sizeof hw_ip) == 0 &&
         (module.empty() || module == absl::StrCat(hw_ip.module_id));
}

std::optional<Importer> CardRules::importer() const {
  if (card_->importer().empty()) return std::nullopt;
  return Importer::OfLoadedModule();
}

bool CardRules::ComesBack() const {
  return Eventually(
      [this] {
        const std::string status = nodes().Attribute("status");
        return status == "Operational" && HlNode::ErrorOfOpening(nodes().control) == 0;
      },
      kResetPatienceMs);
}

}  // namespace hlbuf
