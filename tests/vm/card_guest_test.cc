// SPDX-License-Identifier: Apache-2.0
// The service on a card: its memory goes from process to process and to a kernel importer, window
// by window, and over resets. The card is the stand-in of tests/vm/hlsim.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>

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

class Windows : public Card {
 protected:
  static constexpr std::size_t kWindows = 4000;
  static constexpr std::size_t kBatch = 250;
  static constexpr std::uint64_t kWindowBytes = 4096;
  static constexpr std::size_t kSampled = 97;  // each such window

  static void AllowDescriptors(LibraryClient& client) {
    const rlimit limit = {.rlim_cur = 2 * kWindows, .rlim_max = 2 * kWindows};
    EXPECT_EQ(prlimit(client.process().pid(), RLIMIT_NOFILE, &limit, nullptr), 0);
  }
  void OpenAll(LibraryClient& client) {
    for (std::size_t at = 0; at < kWindows; at += kBatch) {
      const std::vector<std::uint64_t> batch(
          ids_.begin() + static_cast<std::ptrdiff_t>(at),
          ids_.begin() + static_cast<std::ptrdiff_t>(at + kBatch));
      const std::vector<std::string> places = client.OpenMany(batch);
      ASSERT_EQ(places.size(), kBatch);
      EXPECT_EQ(places.front(), std::to_string(at));
    }
  }
  void AllocateAll(LibraryClient& client) {
    while (ids_.size() < kWindows) {
      const std::vector<std::uint64_t> some = client.AllocateMany(kBatch, kWindowBytes);
      ASSERT_EQ(some.size(), kBatch);
      ids_.insert(ids_.end(), some.begin(), some.end());
    }
  }
  std::uint64_t RegisteredAt(LibraryClient& client, std::size_t place) {
    const Outcome made = importer_.Register(client.GiveAt(place).get(), 0, kWindowBytes);
    EXPECT_EQ(made.error, 0);
    return made.value;
  }
  void Write(LibraryClient& client, std::size_t place) {
    const std::uint64_t region = RegisteredAt(client, place);
    EXPECT_EQ(importer_.Write(region, place % 4000, absl::StrCat("window ", place)), 0);
    importer_.Deregister(region);
  }
  void ExpectWritten(LibraryClient& client, std::size_t place) {
    const std::uint64_t region = RegisteredAt(client, place);
    const std::string written = absl::StrCat("window ", place);
    EXPECT_EQ(importer_.Read(region, place % 4000, written.size()), written);
    importer_.Deregister(region);
  }

 private:
  const Importer importer_;
  std::vector<std::uint64_t> ids_;
};

TEST_F(Windows, GoByTheThousandsToWhoOpensThemInBatches) {
  LibraryClient maker = Client(Alice());
  LibraryClient opener = Client(Alice());
  AllowDescriptors(maker);
  AllowDescriptors(opener);
  AllocateAll(maker);
  OpenAll(opener);
  EXPECT_EQ(daemon().UsedBytes(), kWindows * kWindowBytes);
  for (std::size_t place = 0; place < kWindows; place += kSampled) Write(maker, place);
  for (std::size_t place = 0; place < kWindows; place += kSampled) ExpectWritten(opener, place);
  opener.ReleaseAll();
  maker.ReleaseAll();
  EXPECT_TRUE(Eventually([&] { return daemon().UsedBytes() == 0; }, 3 * kPatienceMs))
      << daemon().UsedBytes();
  EXPECT_EQ(card().State().find("address="), std::string::npos) << "mapped: " << card().State();
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
