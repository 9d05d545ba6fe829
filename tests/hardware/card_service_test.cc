// SPDX-License-Identifier: Apache-2.0
// The service on a card, real or stand-in, by what both of them have: nothing is triggered but a
// reset, where the card may be reset, and no content is looked at.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "tests/card/card_under_test.h"
#include "tests/card/device_watch.h"
#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;
constexpr int kGraceMs = 5000;

ino_t InodeOf(const UniqueFd& fd) {
  struct stat file = {};
  EXPECT_EQ(::fstat(fd.get(), &file), 0);
  return file.st_ino;
}

class CardService : public DaemonTest {
 protected:
  void SetUp() override {
    const int error = HlNode::ErrorOfOpening(card_.nodes().compute);
    if (error != 0 && error != EAGAIN)
      GTEST_SKIP() << card_.nodes().compute << ": " << std::strerror(error);
    Start({.kind = "habanalabs",
           .device_keys = card_.DeviceKeys(),
           .config = "[timing]\nreset_grace = \"5s\"\n[limits.domain]\nbytes = \"2GiB\"\n"});
  }
  LibraryClient Client(const User& user) { return {user, daemon().client_socket()}; }
  ControlClient Control() { return ControlClient(daemon().control_socket()); }

  CardUnderTest card_ = CardUnderTest("memory_scrub=1 pending_ms=10000 retries_max=60");
};

TEST_F(CardService, HandsOneDmaBufToTwoUsers) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer made = alice.Allocate(kBytes);
  EXPECT_TRUE(StartsWith(bob.RefusalToOpen(made.id), "PERMISSION_DENIED"));
  alice.Share(made.id, "uid", *Bob().uid);
  const HeldBuffer opened = bob.Open(made.id);
  const UniqueFd hers = alice.process().Give(made.fd), his = bob.process().Give(opened.fd);
  EXPECT_EQ(InodeOf(hers), InodeOf(his));
  EXPECT_EQ(::lseek(his.get(), 0, SEEK_END), static_cast<off_t>(kBytes));
}

TEST_F(CardService, HasManyWindowsAndGetsThemBack) {
  LibraryClient alice = Client(Alice());
  std::set<std::uint64_t> ids;
  std::vector<HeldBuffer> held;
  for (int i = 0; i < 100; ++i) {
    held.push_back(alice.Allocate(kBytes));
    ids.insert(held.back().id);
  }
  EXPECT_EQ(ids.size(), held.size());
  EXPECT_GE(daemon().UsedBytes(), held.size() * kBytes);
  for (const HeldBuffer& buffer : held) alice.Release(buffer);
  daemon().ExpectNothingInUse();
}

TEST_F(CardService, ProvesThatEverybodyLetGo) {
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  ControlClient control = Control();
  std::future<RevocationSeen> revocation = control.StartToRevoke(made.id, kGraceMs);
  alice.AwaitNotice("revoke ");
  const RevocationSeen seen = revocation.get();
  EXPECT_EQ(seen.error, "");
  EXPECT_EQ(seen.only().verdict, "PROVEN");
}

TEST_F(CardService, NamesWhoDoesNotLetGo) {
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  ControlClient control = Control();
  std::future<RevocationSeen> revocation = control.StartToRevoke(made.id, /* grace_ms= */ 500);
  alice.AwaitNotice("revoke ");
  const RevocationSeen seen = revocation.get();
  EXPECT_EQ(seen.only().verdict, "HELD");
  EXPECT_EQ(seen.only().references, 1U);
  alice.process().Kill();
  daemon().ExpectNothingInUse();
}

TEST_F(CardService, ComesBackFromAResetThatNobodyAnnounced) {
  if (card_.Resets().empty()) GTEST_SKIP() << "the card may not be reset; --drill allows it";
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  const std::uint64_t epoch = Control().EpochOf("dev0");
  DeviceWatch watch(daemon().client_socket());
  const std::uint64_t count = card_.nodes().Number("hard_reset_cnt");
  card_.Reset(ResetKind::kUnannounced);
  EXPECT_TRUE(Contains(alice.AwaitNotice("revoke "), "RESET"));
  EXPECT_TRUE(watch.BecomesReady(epoch + 1, card_.ResetPatience()));
  EXPECT_EQ(card_.nodes().Number("hard_reset_cnt"), count + 1);
  EXPECT_EQ(alice.RefusalToAllocate(kBytes), "");
  EXPECT_TRUE(daemon().RunsFor(0));
}

}  // namespace
}  // namespace hlbuf
