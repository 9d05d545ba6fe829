// SPDX-License-Identifier: Apache-2.0
// A second reset during the first, and cards that do not come back by themselves: the service
// waits, says what is wrong and what to do, and is there again when that was done.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/vm/card_rig.h"

namespace hlbuf {
namespace {

class ASecondReset : public CardTest {
 protected:
  ASecondReset() { UseCard(); }
};

TEST_F(ASecondReset, WhileBuffersAreAskedBackIsTheSame) {
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  alice.Allocate(kBytes);
  Graceful();
  alice.AwaitNotice("revoke ");
  HardReset();
  alice.process().Kill();
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_EQ(HardResets(), 1U);
}

TEST_F(ASecondReset, WhileTheCardIsWaitedForIsTheSame) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  card().Trigger(absl::StrCat(HLSIM_HANG_RESET, " 1"));
  HardReset();
  alice.AwaitNotice("revoke ");
  alice.AwaitNotice("device dev0 RESETTING");
  card().Trigger(HLSIM_HEARTBEAT);
  HardReset();
  card().Trigger(absl::StrCat(HLSIM_HANG_RESET, " 0"));
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_EQ(HardResets(), 1U);
}

// It is before the service has the card, so the epoch is the same; there is nothing to ask back.
TEST_F(ASecondReset, WhileTheCardIsOpenedIsWaitedForToo) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  card().Inject("open EAGAIN 9");  // some two seconds of them
  HardReset();
  alice.AwaitNotice("device dev0 OPENING");
  EXPECT_TRUE(Eventually([this] { return HardResets() == 1; }));
  HardReset();
  EXPECT_TRUE(Eventually([this] { return HardResets() == 2; }));
  EXPECT_TRUE(ComesBack()) << Story();
}

TEST_F(ASecondReset, AtOnceAfterTheFirstIsAnother) {
  LibraryClient alice = Client(Alice());
  for (std::uint64_t reset = 1; reset <= 3; ++reset) {
    alice.Allocate(kBytes);
    HardReset();
    alice.AwaitNotice("revoke ");
    alice.AwaitNotice("device dev0 READY");
  }
  EXPECT_TRUE(ComesBack(3)) << Story();
  EXPECT_EQ(HardResets(), 3U);
}

// "User process closed FD but device still in use": the driver resets because of our own close.
TEST_F(ASecondReset, ByTheCloseOfTheFirstIsWaitedForToo) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  card().Trigger(absl::StrCat(HLSIM_BUSY_CLOSE, " 1"));
  Graceful();
  alice.AwaitNotice("revoke ");
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_GE(HardResets(), 1U);
}

class AStubbornCard : public CardTest {
 protected:
  // Until the device says so; the last words about it.
  std::string AwaitFailed() {
    EXPECT_TRUE(Becomes("FAILED")) << Story();
    std::string text;
    for (const EventSeen& event : Events())
      if (event.kind == "DEVICE_STATE" && absl::StrContains(event.text, "FAILED"))
        text = event.text;
    return text;
  }
};

// The driver gives up when a client does not. Then nothing but the administrator helps.
TEST_F(AStubbornCard, ThatWasGivenUpIsFailedWithTheWayOutAndComesBackByIt) {
  StartOnCard({.parameters = "memory_scrub=1 watchdog_ms=30000", .drills = false});
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  HardReset();
  alice.AwaitNotice("revoke ");
  const std::string text = AwaitFailed();
  EXPECT_EQ(card().Status(), "Disabled\n");
  for (const char* words : {"somebody holds a dma-buf of it, and it is disabled",
                            "`hl-bufctl holders` shows who has them", "then write 1 to ",
                            "/hard_reset", "opening it is tried again"})
    EXPECT_TRUE(Contains(text, words));
  EXPECT_EQ(VerdictOf(made.id), "HELD");
  const std::string refusal = alice.RefusalToAllocate(kBytes);
  EXPECT_TRUE(StartsWith(refusal, "DEVICE_UNAVAILABLE"));
  const Finished shown = Ctl({"devices"});
  EXPECT_EQ(shown.exit_status, 0);
  EXPECT_TRUE(Contains(shown.output, "hard_reset")) << shown.output;
  alice.process().Kill();
  HardReset();
  EXPECT_TRUE(Becomes("READY")) << Story();
  EXPECT_TRUE(ComesBack()) << Story();
}

TEST_F(AStubbornCard, WhoseHardwareFailsIsFailedAndComesBackByAnotherReset) {
  StartOnCard({.drills = false});
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  card().Trigger(absl::StrCat(HLSIM_FAIL_RESETS, " 1"));
  Graceful();
  alice.AwaitNotice("revoke ");
  const std::string text = AwaitFailed();
  EXPECT_TRUE(Contains(text, "the card is disabled"));
  EXPECT_TRUE(Contains(text, "then write 1 to "));
  HardReset();
  EXPECT_TRUE(Becomes("READY")) << Story();
  EXPECT_TRUE(ComesBack()) << Story();
}

}  // namespace
}  // namespace hlbuf
