// SPDX-License-Identifier: Apache-2.0
// The service on a card: its memory goes from process to process and to a kernel importer, and each
// kind of reset comes to its end whatever clients do. The card is the stand-in of tests/vm/hlsim.
#include <gtest/gtest.h>

#include <csignal>

#include "absl/strings/str_cat.h"
#include "tests/vm/card_rig.h"

namespace hlbuf {
namespace {

class Card : public CardTest {
 protected:
  Card() { UseCard(); }
};

TEST_F(Card, HandsItsMemoryOnToWhoeverImportsIt) {
  const Importer importer;
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.Share(made.id, "uid", *Bob().uid);
  const HeldBuffer opened = bob.Open(made.id);
  const Outcome hers = importer.Register(alice.process().Give(made.fd).get(), 0, kBytes);
  const Outcome his = importer.Register(bob.process().Give(opened.fd).get(), 0, kBytes);
  ASSERT_EQ(hers.error, 0);
  ASSERT_EQ(his.error, 0);
  EXPECT_EQ(importer.Write(hers.value, 4096, "the same bytes"), 0);
  EXPECT_EQ(importer.Read(his.value, 4096, 14), "the same bytes");
  importer.Deregister(hers.value);
  importer.Deregister(his.value);
}

TEST_F(Card, ComesBackWhenItsClientsLetGoInTime) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  Graceful();
  EXPECT_TRUE(Contains(alice.AwaitNotice("revoke "), "RESET"));
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_EQ(HardResets(), 1U);
  EXPECT_TRUE(Contains(daemon().Log(), "PROVEN"));
}

// Nobody can take it from the client; but it is named, the service is not in the way, and the card
// is back as soon as the client has gone.
TEST_F(Card, ComesBackWhenTheClientThatKeptAllHasGone) {
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  Graceful();
  alice.AwaitNotice("revoke ");
  EXPECT_TRUE(Eventually([&] { return bool{Contains(daemon().Log(), "HELD: 1 reference")}; }))
      << daemon().Log();
  EXPECT_TRUE(StartsWith(alice.RefusalToAllocate(kBytes), "DEVICE_UNAVAILABLE"));
  alice.process().Kill();
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_FALSE(Control().Find(made.id).has_value());
}

TEST_F(Card, ComesBackWhenAStoppedClientIsKilled) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  alice.process().Signal(SIGSTOP);
  Graceful();
  EXPECT_TRUE(Eventually([&] { return bool{Contains(daemon().Log(), "HELD: ")}; }));
  alice.process().Kill();
  EXPECT_TRUE(ComesBack()) << Story();
}

// An application may close its descriptor once a memory region is registered.
TEST_F(Card, Scenario08_ComesBackWhenTheLastRegistrationEnds) {
  const Importer importer;
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  const Outcome registered = importer.Register(alice.process().Give(made.fd).get(), 0, kBytes);
  ASSERT_EQ(registered.error, 0);
  Graceful();
  alice.AwaitNotice("revoke ");
  EXPECT_TRUE(Eventually([&] { return bool{Contains(daemon().Log(), "HELD: ")}; }))
      << daemon().Log();
  EXPECT_EQ(importer.Deregister(registered.value), 0);
  EXPECT_TRUE(ComesBack()) << Story();
}

// The driver kills whoever opened the card: that is the keeper, not the service.
TEST_F(Card, SurvivesAResetThatNobodyAnnounced) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  card().Trigger(HLSIM_UNGRACEFUL);
  EXPECT_TRUE(Contains(alice.AwaitNotice("revoke "), "RESET"));
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_TRUE(daemon().RunsFor(0));
}

TEST_F(Card, SurvivesAResetOfItsFirmware) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  card().Trigger(absl::StrCat(HLSIM_FIRMWARE, " ", kEventReset | kEventUnavailable));
  alice.AwaitNotice("revoke ");
  EXPECT_TRUE(ComesBack()) << Story();
}

TEST_F(Card, GivesNothingOfOneDomainToAnotherAfterAReset) {
  const Importer importer;
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  const Outcome hers = importer.Register(alice.process().Give(made.fd).get(), 0, kBytes);
  ASSERT_EQ(importer.Write(hers.value, 0, "a secret"), 0);
  importer.Deregister(hers.value);
  Graceful();
  alice.AwaitNotice("revoke ");
  ASSERT_TRUE(ComesBack()) << Story();
  LibraryClient bob = Client(Bob());
  const HeldBuffer his = bob.Allocate(kBytes);
  const Outcome seen = importer.Register(bob.process().Give(his.fd).get(), 0, kBytes);
  ASSERT_EQ(seen.error, 0);
  EXPECT_EQ(importer.Read(seen.value, 0, 8), std::string(8, '\0'));
  importer.Deregister(seen.value);
}

TEST_F(Card, ResetsManyTimesInARowAndLosesNothing) {
  constexpr std::uint64_t kResets = 20;
  LibraryClient alice = Client(Alice());
  for (std::uint64_t reset = 1; reset <= kResets; ++reset) {
    for (int i = 0; i < 4; ++i) alice.Allocate(kBytes);
    if (reset % 2 == 0)
      card().Trigger(HLSIM_UNGRACEFUL);
    else
      Graceful();
    for (int i = 0; i < 4; ++i) alice.AwaitNotice("revoke ");
    ASSERT_TRUE(ComesBack(reset)) << reset << "\n" << Story();
  }
  EXPECT_EQ(HardResets(), kResets);
}

}  // namespace
}  // namespace hlbuf
