// SPDX-License-Identifier: Apache-2.0
// The soak of tests/soak on a card: $HLBUF_KILLS kills (3) and $HLBUF_KILL_RESETS resets (2) of
// every kind that the card takes, with bytes that an importer reads and writes.
#include <gtest/gtest.h>

#include "tests/card/card_under_test.h"
#include "tests/soak/soak_figures.h"
#include "tests/soak/soaked_daemon.h"

namespace hlbuf {
namespace {

constexpr std::size_t kClients = 6;
// The driver's own patience, since emulated processors are slow; quick where nobody has to wait.
const char* const kStandIn =
    "memory_scrub=1 watchdog_ms=30000 pending_ms=10000 retry_ms=10000 retries_max=60";

class SoakedCard final : public SoakedDaemon {
 public:
  SoakedCard(DaemonProcess& daemon, CardUnderTest& card) : SoakedDaemon(daemon), card_(card) {}

  void BeginReset() override {
    const std::vector<ResetKind> kinds = card_.Resets();
    card_.Reset(kinds[resets_++ % kinds.size()]);
  }
  void RepeatReset() override {}  // the card forgets nothing
  int ResetPatienceMs() const override { return static_cast<int>(card_.ResetPatience().count()); }
  std::string importer() const override { return card_.importer(); }

 private:
  CardUnderTest& card_;
  std::size_t resets_ = 0;
};

class KillSoakOnCard : public DaemonTest {
 protected:
  CardUnderTest card_ = CardUnderTest(kStandIn);  // outlives the service
};

TEST_F(KillSoakOnCard, CostsNoClientAnything) {
  if (card_.Resets().empty()) GTEST_SKIP() << "the card may not be reset; --drill allows it";
  DaemonOptions options = SoakedOptions();
  options.kind = "habanalabs";
  options.device_keys = card_.DeviceKeys();
  options.config += "bytes = \"1GiB\"\n[timing]\nreset_grace = \"10s\"\n";
  Start(options);
  SoakedCard service(daemon(), card_);
  SoakAndRecordFigures(service, {.clients = kClients, .kills = 3, .resets = 2});
}

}  // namespace
}  // namespace hlbuf
