// SPDX-License-Identifier: Apache-2.0
// The same service on each kind of card and driver, and on two cards at once.
#include <gtest/gtest.h>

#include <ostream>

#include "absl/strings/str_cat.h"
#include "tests/vm/card_rig.h"

namespace hlbuf {
namespace {

constexpr const char* kRest = " memory_scrub=1 watchdog_ms=30000 retries_max=600";

struct Kind {
  const char* name;
  const char* parameters;  // of the stand-in
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class AKindOfCard : public CardTest, public testing::WithParamInterface<Kind> {
 protected:
  AKindOfCard() { StartOnCard({.parameters = absl::StrCat(GetParam().parameters, kRest)}); }

  std::uint64_t Registered(const Importer& importer, LibraryClient& client,
                           const HeldBuffer& buffer) {
    const Outcome made =
        importer.Register(client.process().Give(buffer.fd).get(), 0, buffer.size_bytes);
    EXPECT_EQ(made.error, 0);
    return made.value;
  }
};

// Two at once: drivers before 6.7 forget where in an allocation an export begins.
TEST_P(AKindOfCard, HandsEachBufferOnWithItsOwnBytes) {
  const Importer importer;
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  std::vector<std::uint64_t> hers;
  std::vector<std::uint64_t> his;
  for (int i = 0; i < 3; ++i) {
    const HeldBuffer made = alice.Allocate(kBytes);
    alice.Share(made.id, "uid", *Bob().uid);
    hers.push_back(Registered(importer, alice, made));
    his.push_back(Registered(importer, bob, bob.Open(made.id)));
  }
  for (std::size_t i = 0; i < hers.size(); ++i)
    EXPECT_EQ(importer.Write(hers[i], kBytes - 8, absl::StrCat("buffer ", i)), 0);
  for (std::size_t i = 0; i < his.size(); ++i)
    EXPECT_EQ(importer.Read(his[i], kBytes - 8, 8), absl::StrCat("buffer ", i));
  for (const std::uint64_t id : hers) importer.Deregister(id);
  for (const std::uint64_t id : his) importer.Deregister(id);
}

TEST_P(AKindOfCard, ComesBackFromEachReset) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  Graceful();
  alice.AwaitNotice("revoke ");
  ASSERT_TRUE(ComesBack(1)) << Story();
  alice.Allocate(kBytes);
  HardReset();
  alice.AwaitNotice("revoke ");
  ASSERT_TRUE(ComesBack(2)) << Story();
  EXPECT_EQ(HardResets(), 2U);
}

TEST_P(AKindOfCard, IsHeldUpByAnImporterAndNoLonger) {
  const Importer importer;
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  const std::uint64_t region = Registered(importer, alice, made);
  Graceful();
  alice.AwaitNotice("revoke ");
  EXPECT_TRUE(IsSoonHeld(made.id)) << Story();
  EXPECT_EQ(importer.Deregister(region), 0);
  EXPECT_TRUE(ComesBack()) << Story();
}

INSTANTIATE_TEST_SUITE_P(Of, AKindOfCard,
                         testing::Values(Kind{"Gaudi", "asic=gaudi"},
                                         Kind{"Gaudi2WithLinux66", "legacy=66"},
                                         Kind{"GaudiWithLinux66", "legacy=66 asic=gaudi"},
                                         Kind{"GaudiWithLinux61", "legacy=61 asic=gaudi"}),
                         [](const auto& with) { return with.param.name; });

class OldDriver : public CardTest {};

// One buffer takes a whole allocation there.
TEST_F(OldDriver, SaysThatItsMemoryIsUsedUp) {
  StartOnCard({.parameters = absl::StrCat("legacy=66 page_mib=8 dram_mib=32", kRest)});
  LibraryClient alice = Client(Alice());
  for (int i = 0; i < 3; ++i) alice.Allocate(4096);
  const std::string refusal = alice.RefusalToAllocate(4096);
  EXPECT_TRUE(StartsWith(refusal, "NO_MEMORY"));
  EXPECT_TRUE(Contains(refusal, "release buffers"));
  alice.ReleaseAll();
  daemon().ExpectNothingInUse();
  EXPECT_EQ(alice.RefusalToAllocate(4096), "");
}

TEST_F(OldDriver, WithoutExportSaysWhichKernelHasIt) {
  StartOnCard({.parameters = absl::StrCat("legacy=61", kRest)});
  LibraryClient alice = Client(Alice());
  const std::string refusal = alice.RefusalToAllocate(4096);
  EXPECT_TRUE(StartsWith(refusal, "UNIMPLEMENTED"));
  EXPECT_TRUE(Contains(refusal, "use Linux 6.7 or later"));
  EXPECT_TRUE(Happened({absl::StrCat("REQUEST_REFUSED allocate of 4096 bytes on dev0: ")}));
}

class TwoCards : public CardTest {
 protected:
  TwoCards() {
    StartOnCard({.parameters = absl::StrCat("cards=2", kRest),
                 .device_keys = "pci = \"0000:a0:00.0\"",
                 .config = "[[device]]\nname = \"dev1\"\nkind = \"habanalabs\"\ndrills = true\n"
                           "pci = \"0000:a1:00.0\"\n"});
  }
};

TEST_F(TwoCards, ResetWithoutAWordToTheOthersClients) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer first = alice.Allocate(kBytes);
  bob.UseDevice("dev1");
  const HeldBuffer second = bob.Allocate(kBytes);
  const std::uint64_t epoch = Control().EpochOf("dev1");
  Graceful(0);
  alice.AwaitNotice("revoke ");
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_EQ(Control().Device("dev1").epoch, epoch);
  EXPECT_EQ(Control().Find(second.id)->state, "LIVE");
  EXPECT_EQ(Control().Find(second.id)->lease_count, 1U);
  EXPECT_EQ(card().HardResets(1), 0U);

  HardReset(1);
  // The first notice about a buffer that it gets is the one about its own card.
  EXPECT_TRUE(StartsWith(bob.AwaitNotice("revoke "), absl::StrCat("revoke ", second.id)));
  EXPECT_TRUE(Eventually([&] {
    const DeviceSeen device = Control().Device("dev1");
    return device.epoch == epoch + 1 && device.state == "READY";
  })) << Story();
  EXPECT_EQ(HardResets(), 1U);
  EXPECT_EQ(VerdictOf(first.id), "PROVEN");
  EXPECT_EQ(VerdictOf(second.id), "PROVEN");
}

TEST_F(TwoCards, ResetOneWhileTheOtherIsHeldUp) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  alice.KeepWhatIsRevoked();
  const HeldBuffer kept = alice.Allocate(kBytes);
  bob.UseDevice("dev1");
  bob.Allocate(kBytes);
  const std::uint64_t epoch = Control().EpochOf("dev1");
  Graceful(0);
  EXPECT_TRUE(IsSoonHeld(kept.id)) << Story();
  Graceful(1);
  bob.AwaitNotice("revoke ");
  EXPECT_TRUE(Eventually([&] {
    const DeviceSeen device = Control().Device("dev1");
    return device.epoch == epoch + 1 && device.state == "READY";
  })) << Story();
  EXPECT_EQ(bob.RefusalToAllocate(kBytes), "");
  alice.process().Kill();
  EXPECT_TRUE(ComesBack()) << Story();
}

}  // namespace
}  // namespace hlbuf
