// SPDX-License-Identifier: Apache-2.0
// What a service that was killed and started again owes the clients of a card, with scenarios that
// a model check found, under their numbers.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/vm/card_rig.h"

namespace hlbuf {
namespace {

const char* const kShortGrace = "reattach_grace = \"2s\"\n";  // a line of [timing]
constexpr int kLongMs = 15'000;  // more than a client that complies needs

class CardRestart : public CardTest {
 protected:
  void StartSupervised(CardOptions options = {}) {
    options.supervised = true;
    StartOnCard(options);
  }
  void Kill() {
    daemon().supervisor().Kill();
    AwaitNextLife(daemon().supervisor().lives());
  }
  // The next process waits for its configuration until `meanwhile` has returned.
  void KillAndMeanwhile(const std::function<void()>& meanwhile) {
    const std::string path = daemon().config_path(), content = ReadAll(path);
    ASSERT_EQ(::unlink(path.c_str()), 0);
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    daemon().supervisor().Kill();
    meanwhile();
    UniqueFd fifo;
    ASSERT_TRUE(Eventually([&] {
      fifo = UniqueFd(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
      return bool{fifo};
    })) << "no process reads it";
    EXPECT_EQ(::write(fifo.get(), content.data(), content.size()),
              static_cast<ssize_t>(content.size()));
    fifo.Reset();
    AwaitNextLife(daemon().supervisor().lives());
  }
  // Through a registration that ends at once, for a card's memory cannot be mapped.
  void Write(LibraryClient& client, const HeldBuffer& buffer, const std::string& bytes) {
    const UniqueFd fd = client.process().Give(buffer.fd);
    const Outcome registered = importer().Register(fd.get(), 0, kBytes);
    ASSERT_EQ(registered.error, 0);
    EXPECT_EQ(importer().Write(registered.value, 0, bytes), 0);
    EXPECT_EQ(importer().Deregister(registered.value), 0);
  }
  std::string Read(ClientProcess& process, int number, std::uint64_t size) {
    const UniqueFd fd = process.Give(number);
    const Outcome registered = importer().Register(fd.get(), 0, kBytes);
    EXPECT_EQ(registered.error, 0);
    const std::string bytes = importer().Read(registered.value, 0, size);
    EXPECT_EQ(importer().Deregister(registered.value), 0);
    return bytes;
  }
  static ino_t InodeOf(LibraryClient& client, const HeldBuffer& buffer) {
    struct stat status = {};
    EXPECT_EQ(::fstat(client.process().Give(buffer.fd).get(), &status), 0);
    return status.st_ino;
  }
  bool IsProven() {
    for (const EventSeen& event : Control().Events())
      if (event.verdict == "PROVEN") return true;
    return false;
  }
  const Importer& importer() {
    if (!importer_) importer_.emplace();
    return *importer_;
  }
  void TearDown() override {
    importer_.reset();
    CardTest::TearDown();
    // They would wait for the next life of the service, with the card.
    for (const pid_t keeper : daemon().Keepers()) ::kill(keeper, SIGKILL);
  }

 private:
  std::optional<Importer> importer_;
};

// A gives its descriptor to a process that is no client, and dies with the service.
TEST_F(CardRestart, Scenario01_WhatAStrangerHoldsIsNeitherProvenNorGivenOn) {
  StartSupervised({.timing = kShortGrace});
  LibraryClient alice = Client(Alice());
  ClientProcess stranger(Stranger());
  const HeldBuffer made = alice.Allocate(kBytes);
  Write(alice, made, "alice's");
  const int passed = stranger.Take(alice.process().Give(made.fd).get());
  daemon().Signal(SIGSTOP);
  alice.process().Kill();
  Kill();
  EXPECT_TRUE(Eventually([&] { return Control().Find(made.id)->state == "DRAINING"; })) << Story();
  EXPECT_EQ(Control().Revoke(made.id, /* grace_ms= */ 200).only().verdict, "HELD");
  LibraryClient bob = Client(Bob());
  const HeldBuffer next = bob.Allocate(kBytes);
  Write(bob, next, "bob's..");
  EXPECT_EQ(Read(stranger, passed, 7), "alice's");
  EXPECT_FALSE(IsProven());
  stranger.Close(passed);
  bob.Release(next);
  daemon().AwaitLife(2);
  daemon().ExpectNothingInUse();
}

TEST_F(CardRestart, Scenario02_WhoOpensFirstGetsWhatTheOthersStillHave) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer made = alice.Allocate(kBytes);
  Write(alice, made, "alice's");
  alice.Share(made.id, "uid", *Bob().uid);
  Kill();
  const HeldBuffer opened = bob.Open(made.id);  // alice has not come back yet
  EXPECT_EQ(InodeOf(bob, opened), InodeOf(alice, made)) << "it was exported a second time";
  EXPECT_EQ(Read(bob.process(), opened.fd, 7), "alice's");
  EXPECT_EQ(opened.epoch, made.epoch);
  alice.Release(alice.Open(made.id));
  daemon().AwaitLife(2);
}

TEST_F(CardRestart, Scenario05_ARevocationGoesOnToItsVerdict) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.Share(made.id, "uid", *Bob().uid);
  ControlClient asking(daemon().control_socket());
  auto revoking = asking.StartToRevoke(made.id, kLongMs);
  alice.AwaitNotice("revoke ");
  Kill();
  static_cast<void>(revoking.get());
  EXPECT_TRUE(StartsWith(bob.RefusalToOpen(made.id), "REVOKED"));
  EXPECT_TRUE(StartsWith(alice.RefusalToOpen(made.id), "REVOKED"));
  alice.Release(made);
  EXPECT_TRUE(Eventually([&] { return VerdictOf(made.id) == "PROVEN"; })) << Story();
  daemon().AwaitLife(2);
  daemon().ExpectNothingInUse();
}

// On a card with one chunk for everybody.
TEST_F(CardRestart, Scenario09_WhatOneUserFreedShowsNothingToTheNext) {
  constexpr std::uint64_t kChunkBytes = 8 << 20;
  StartSupervised({.parameters = "memory_scrub=1 page_mib=8 dram_mib=16"});
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  Write(alice, made, "secret");
  alice.Release(made);
  daemon().ExpectNothingInUse();
  daemon().Crash();
  AwaitNextLife(2);
  LibraryClient bob = Client(Bob());
  const HeldBuffer rest = bob.Allocate(kChunkBytes - kBytes);
  EXPECT_NE(Read(bob.process(), rest.fd, 6), "secret");
  const std::string refusal = bob.RefusalToAllocate(kBytes);
  EXPECT_TRUE(StartsWith(refusal, "NO_MEMORY"));
  EXPECT_TRUE(Contains(refusal, "reserved to other domains"));
  EXPECT_EQ(Read(alice.process(), alice.Allocate(kBytes).fd, 6), "secret") << "hers, as it was";
}

// The driver forgets what GET_EVENTS has told, whoever dies of it.
class CardRestartAtEvents : public CardRestart, public testing::WithParamInterface<const char*> {};

TEST_P(CardRestartAtEvents, Scenario10_AResetThatWasReadAndForgottenIsAReset) {
  StartSupervised({.grace = "15s", .crash_point = absl::StrCat(GetParam(), "-card-events:1")});
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  card().Inject("register_eventfd EIO 1");  // whoever registers one while it is open
  Graceful();
  ASSERT_TRUE(daemon().supervisor().HasEnded(1)) << "it read nothing";
  bob.process().Begin(absl::StrCat("library-allocate ", kBytes, " -"));
  AwaitNextLife(2);
  EXPECT_TRUE(Contains(alice.AwaitNotice("revoke "), " RESET"));
  const Reply early = bob.process().Answer();
  EXPECT_FALSE(early.ok) << "granted in an epoch that ends";
  EXPECT_TRUE(StartsWith(early.Text(), "DEVICE_UNAVAILABLE"));
  EXPECT_NE(ReadAll(card().DebugFile("inject")), "") << "the notifier was registered again";
  card().Inject("clear");
  EXPECT_EQ(HardResets(), 0U);
  alice.Release(made);
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_EQ(HardResets(), 1U);
  EXPECT_EQ(VerdictOf(made.id), "PROVEN");
  daemon().AwaitLife(2);
}

INSTANTIATE_TEST_SUITE_P(DiedOf, CardRestartAtEvents, testing::Values("before", "after"),
                         [](const auto& point) { return std::string(point.param); });

TEST_F(CardRestart, Scenario11_AnEpochThatWasClosingIsNotGrantedAgain) {
  StartSupervised({.grace = "15s"});
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  Graceful();
  alice.AwaitNotice("revoke ");
  Kill();
  for (LibraryClient* const client : {&alice, &bob})
    EXPECT_TRUE(StartsWith(client->RefusalToAllocate(kBytes), "DEVICE_UNAVAILABLE")) << Story();
  alice.Release(made);
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_EQ(HardResets(), 1U);
  EXPECT_EQ(VerdictOf(made.id), "PROVEN");
  daemon().AwaitLife(2);
}

class CardRestartAtClose : public CardRestart, public testing::WithParamInterface<const char*> {};

TEST_P(CardRestartAtClose, Scenario17_WhoHoldsTheCardIsNamedStill) {
  StartSupervised({.crash_point = absl::StrCat(GetParam(), ":1")});
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  Graceful();
  alice.AwaitNotice("revoke ");
  AwaitNextLife(2);
  EXPECT_NE(Control().Device("dev0").state, "READY");
  const Finished held = Ctl({"holders", "dev0"});
  // Her lease ended with the verdict; what she holds of it is in the driver's way.
  EXPECT_TRUE(Contains(held.output, absl::StrCat("pid ", alice.process().pid(), " (step_client")));
  EXPECT_TRUE(Contains(held.output, "1 descriptor  NONE"));
  EXPECT_EQ(held.exit_status, 4);
  // Nobody looks into processes for this.
  const Finished known = Ctl({"buffers", "--output", "json"});
  EXPECT_TRUE(Contains(absl::StrReplaceAll(known.output, {{" ", ""}, {"\n", ""}}),
                       absl::StrCat("\"pid\":", alice.process().pid(), ",")));
  EXPECT_FALSE(IsProven());
  alice.Release(made);
  // It can be opened a moment before its reset is counted, which is taken for another one.
  EXPECT_TRUE(ComesBack(1, 1)) << Story();
  daemon().AwaitLife(2);
}

INSTANTIATE_TEST_SUITE_P(DiedOf, CardRestartAtClose,
                         testing::Values("before-card-close", "after-card-close"),
                         [](const auto& point) {
                           return absl::StrReplaceAll(point.param, {{"-", "_"}});
                         });

// The driver kills the keeper, which has lived on; no process of the service sees it. Alice does
// not hold up the reset: she has her lease only.
TEST_F(CardRestart, AResetBetweenTwoLivesIsANewEpochAndEndsItsLeases) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.process().Close(made.fd);
  const std::vector<pid_t> keepers = daemon().Keepers();
  ASSERT_FALSE(keepers.empty());
  KillAndMeanwhile([&] {
    for (const pid_t keeper : keepers) EXPECT_EQ(::kill(keeper, 0), 0) << "it died as well";
    HardReset();
    EXPECT_TRUE(Eventually([&] { return HardResets() == 1; })) << card().State();
    EXPECT_TRUE(card().BecomesOperational()) << card().State();
  });
  EXPECT_TRUE(StartsWith(alice.AwaitNotice("revoke "), absl::StrCat("revoke ", made.id, " LOST ")));
  EXPECT_FALSE(alice.IsCurrent(made));
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_EQ(Control().EpochOf("dev0"), made.epoch + 1);
  EXPECT_EQ(alice.Allocate(kBytes).epoch, made.epoch + 1);
  EXPECT_FALSE(Control().Find(made.id).has_value());
  bool is_told = false;
  for (const EventSeen& event : Control().Events())
    is_told |= event.kind == "BUFFERS_LOST" && Contains(event.text, "was reset or closed while");
  EXPECT_TRUE(is_told) << Story();
  EXPECT_FALSE(IsProven());
  EXPECT_EQ(HardResets(), 1U) << "the service asked for another one";
  daemon().AwaitLife(2);
}

// Nobody has the card's memory any more but those that hold it.
TEST_F(CardRestart, Scenario18_WhatDiedWithItsKeeperIsNeitherProvenNorGivenOn) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  ClientProcess stranger(Stranger());
  const HeldBuffer made = alice.Allocate(kBytes);
  const int passed = stranger.Take(alice.process().Give(made.fd).get());
  const std::vector<pid_t> keepers = daemon().Keepers();
  ASSERT_FALSE(keepers.empty());
  daemon().Signal(SIGSTOP);
  for (const pid_t keeper : keepers) ::kill(keeper, SIGKILL);
  Kill();
  EXPECT_TRUE(StartsWith(alice.AwaitNotice("revoke "), absl::StrCat("revoke ", made.id)));
  EXPECT_TRUE(StartsWith(bob.RefusalToAllocate(kBytes), "DEVICE_UNAVAILABLE")) << Story();
  EXPECT_FALSE(IsProven());
  stranger.Close(passed);
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_FALSE(IsProven());
  daemon().AwaitLife(2);
}

}  // namespace
}  // namespace hlbuf
