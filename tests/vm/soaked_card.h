// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_VM_SOAKED_CARD_H_
#define HLBUF_TESTS_VM_SOAKED_CARD_H_

#include <string>

#include "tests/card/card_under_test.h"
#include "tests/soak/soaked_daemon.h"

namespace hlbuf {

// The driver's own patience, since emulated processors are slow; quick where nobody has to wait.
inline constexpr const char* kPatientStandIn =
    "memory_scrub=1 watchdog_ms=30000 pending_ms=10000 retry_ms=10000 retries_max=60";

// A supervised DaemonProcess with a card, which is reset in every way that it takes, by turns.
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

inline DaemonOptions SoakedCardOptions(const CardUnderTest& card) {
  DaemonOptions options = SoakedOptions();
  options.kind = "habanalabs";
  options.device_keys = card.DeviceKeys();
  options.config += "[timing]\nreset_grace = \"10s\"\n";
  return options;
}

}  // namespace hlbuf

#endif  // HLBUF_TESTS_VM_SOAKED_CARD_H_
