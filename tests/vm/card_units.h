// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_VM_CARD_UNITS_H_
#define HLBUF_TESTS_VM_CARD_UNITS_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/system/installed_service.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {

// The service as installed in the guest, with a configuration for the only card.
class InstalledInGuest : public InstalledService {
 protected:
  static constexpr std::uint64_t kBytes = 64 << 10;

  static void SetUpTestSuite() {
    for (const char* const command : {"cmake --install \"$HLBUF_BUILD_DIR\"", "systemd-sysusers",
                                      "systemd-tmpfiles --create", "systemctl daemon-reload"})
      MustRun(command);
  }
  void SetUp() override {
    InstalledService::SetUp();
    Configure(kOneCard);
  }
  // The card has to be let go of before its module can be unloaded.
  void TearDown() override {
    Must({"stop", kTarget, kService});
    InstalledService::TearDown();
  }
  static void MustRun(const std::string& command) {
    const Finished done = Run({"/bin/sh", "-c", command});
    EXPECT_EQ(done.exit_status, 0) << command << ": " << done.output;
  }
  static testing::AssertionResult Serves() {
    return Comes(kService, "StatusText", "Serving dev0 (READY)");
  }

  static constexpr const char* kOneCard =
      "[timing]\nreset_grace = \"1s\"\n[limits.domain]\nbytes = \"1GiB\"\n"
      "[[device]]\nname = \"dev0\"\nkind = \"habanalabs\"\n";
};

// On a card that is there already.
class CardUnits : public InstalledInGuest {
 protected:
  // The groups are what the udev rule gives them: UdevRule shows that it does.
  void SetUp() override {
    InstalledInGuest::SetUp();
    const std::string nodes = absl::StrCat(card_.Node(), " ", card_.ControlNode());
    MustRun(absl::StrCat("chgrp hl-bufd ", nodes, " && chmod 660 ", nodes));
  }

  Hlsim card_ = Hlsim("memory_scrub=1 watchdog_ms=30000 retries_max=600");
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_VM_CARD_UNITS_H_
