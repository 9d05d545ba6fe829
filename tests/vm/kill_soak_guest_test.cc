// SPDX-License-Identifier: Apache-2.0
// The soak of tests/soak on a card: $HLBUF_KILLS kills (20) and $HLBUF_KILL_RESETS resets (5) of
// every kind that the card takes, with bytes that an importer reads and writes.
#include <gtest/gtest.h>

#include "tests/soak/board.h"
#include "tests/soak/soak_figures.h"
#include "tests/vm/soaked_card.h"

namespace hlbuf {
namespace {

constexpr std::size_t kClients = kSoakClientsMax;
class KillSoakOnCard : public DaemonTest {
 protected:
  CardUnderTest card_ = CardUnderTest(kPatientStandIn);  // outlives the service
};

TEST_F(KillSoakOnCard, CostsNoClientAnything) {
  if (card_.Resets().empty()) GTEST_SKIP() << "the card may not be reset; --drill allows it";
  Start(SoakedCardOptions(card_));
  SoakedCard service(daemon(), card_);
  SoakAndRecordFigures(service, {.clients = kClients, .kills = 20, .resets = 5});
}

}  // namespace
}  // namespace hlbuf
