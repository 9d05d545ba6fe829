// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_HARDWARE_CARD_RULES_H_
#define HLBUF_TESTS_HARDWARE_CARD_RULES_H_

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "tests/card/card_under_test.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {

// What one dma-buf of the card was made of.
struct CardExport {
  std::uint64_t address = 0;
  UniqueFd fd;
};

// Rules of the driver, each held against the card that CardUnderTest finds, by bare calls. A test
// passes when its rule is confirmed, fails when it is contradicted, and is skipped when it cannot
// be tested here; its XML has `rule`, `verdict` and `evidence`.
//
// Opening a card and closing it again is the least that can be asked of it; on a Gaudi2 each close
// is a compute reset. More than that happens to a card only when it may be reset.
class CardRules : public testing::Test {
 protected:
  static constexpr std::uint64_t kBytes = 64 << 10;

  void SetUp() override;
  // In words, for the report.
  void Rule(const std::string& says) { RecordProperty("rule", says); }
  // The last word of a test.
  void Judge(bool holds, const std::string& evidence);
  void NotTested(const std::string& why);

  const CardNodes& nodes() const { return card_->nodes(); }
  const CardUnderTest& card() const { return *card_; }
  // Without an allocator of the driver's, as the first Gaudi has none.
  bool HasPhysicalAddresses() const;
  // Somewhere in the card's memory, and its dma-buf.
  std::uint64_t Memory(const HlNode& node, std::uint64_t bytes = kBytes) const;
  CardExport Export(const HlNode& node) const;
  // Whether its control node leads to it; see D1.
  bool HasOwnControl() const;
  // The importer, where it may be let at this card.
  std::optional<Importer> importer() const;
  void HardReset() const { card_->Reset(ResetKind::kUnannounced); }
  // Until it works again.
  bool ComesBack() const;

 private:
  std::unique_ptr<CardUnderTest> card_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_HARDWARE_CARD_RULES_H_
