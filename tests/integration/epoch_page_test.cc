// SPDX-License-Identifier: Apache-2.0
// What clients of the real service can see of their buffers without asking: whether they are
// current.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/forked.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;
constexpr int kLongMs = 15'000;  // more than a client that complies needs

class EpochPage : public DaemonTest {
 protected:
  LibraryClient Client(const User& user) { return {user, daemon().client_socket()}; }
  ControlClient Control() { return ControlClient(daemon().control_socket()); }
};

TEST_F(EpochPage, HasWhatWasAllocatedAndOpened) {
  Use();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer made = alice.Allocate(kBytes);
  EXPECT_TRUE(alice.IsCurrent(made));
  alice.Share(made.id, "uid", *Bob().uid);
  const HeldBuffer opened = bob.Open(made.id);
  EXPECT_TRUE(bob.IsCurrent(opened));
  alice.Release(made);
  EXPECT_TRUE(bob.IsCurrent(opened)) << "as long as anybody has it";
  bob.Release(opened);
  daemon().ExpectNothingInUse();
}

// She reads nothing: the page alone says it.
TEST_F(EpochPage, HasNothingMoreOfWhatAnybodyWasAskedToLetGoOf) {
  Use();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  ControlClient control = Control();
  const HeldBuffer made = alice.Allocate(kBytes), other = alice.Allocate(kBytes);
  alice.Share(made.id, "uid", *Bob().uid);
  const HeldBuffer opened = bob.Open(made.id);
  auto revoking = control.StartToRevoke(made.id, kLongMs);
  ASSERT_NE(bob.AwaitNotice("revoke "), "");
  EXPECT_FALSE(alice.IsCurrent(made));
  EXPECT_FALSE(bob.IsCurrent(opened));
  EXPECT_TRUE(alice.IsCurrent(other));
  alice.AwaitNotice("revoke ");
  revoking.get();
  alice.Release(other);
  daemon().ExpectNothingInUse();
}

TEST_F(EpochPage, HasNothingOfADeviceThatResets) {
  Use();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  ControlClient control = Control();
  const HeldBuffer hers = alice.Allocate(kBytes), his = bob.Allocate(kBytes);
  auto resetting = control.StartToReset("dev0", kLongMs);
  ASSERT_NE(bob.AwaitNotice("revoke "), "");
  EXPECT_FALSE(alice.IsCurrent(hers));
  alice.AwaitNotice("revoke ");
  resetting.get();
  EXPECT_FALSE(bob.IsCurrent(his));
  const HeldBuffer next = alice.Allocate(kBytes);
  EXPECT_TRUE(alice.IsCurrent(next));
  EXPECT_FALSE(alice.IsCurrent(hers)) << "though somebody else may be where it was";
  alice.Release(next);
  daemon().ExpectNothingInUse();
}

TEST_F(EpochPage, KeepsWhatOthersHoldWhenOneLeaseIsAskedBack) {
  Use();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.Share(made.id, "uid", *Bob().uid);
  const HeldBuffer opened = bob.Open(made.id);
  alice.Unshare(made.id, "uid", *Bob().uid);
  ASSERT_NE(bob.AwaitNotice("revoke "), "");
  EXPECT_FALSE(bob.IsCurrent(opened));
  EXPECT_TRUE(alice.IsCurrent(made));
  alice.Release(made);
  daemon().ExpectNothingInUse();
}

TEST_F(EpochPage, OutlivesTheServiceThatWasKilled) {
  Start({.supervised = true});
  LibraryClient alice = Client(Alice());
  const HeldBuffer kept = alice.Allocate(kBytes), gone = alice.Allocate(kBytes);
  {
    ControlClient control = Control();
    auto revoking = control.StartToRevoke(gone.id, kLongMs);
    alice.AwaitNotice("revoke ");
    revoking.get();
  }
  daemon().Crash();
  EXPECT_TRUE(alice.IsCurrent(kept)) << "before she has it back";
  EXPECT_FALSE(alice.IsCurrent(gone));
  const HeldBuffer next = alice.Allocate(kBytes);
  EXPECT_TRUE(alice.IsCurrent(kept));
  EXPECT_TRUE(alice.IsCurrent(next));
  EXPECT_FALSE(alice.IsCurrent(gone));
  LibraryClient bob = Client(Bob());
  alice.Share(kept.id, "uid", *Bob().uid);
  const HeldBuffer opened = bob.Open(kept.id);
  ControlClient control = Control();
  auto again = control.StartToRevoke(kept.id, kLongMs);
  ASSERT_NE(bob.AwaitNotice("revoke "), "");
  EXPECT_FALSE(alice.IsCurrent(kept));
  EXPECT_FALSE(bob.IsCurrent(opened));
  alice.AwaitNotice("revoke ");
  again.get();
  alice.Release(next);
  daemon().ExpectNothingInUse();
}

TEST_F(EpochPage, CannotBeWrittenByAClient) {
  Use();
  RawClient client = RawClient::Connect(daemon().client_socket());
  const std::optional<Packet> welcome = client.Ask(HelloOfFrame(1, HLBUF_WIRE_FEATURE_EPOCH_PAGE));
  ASSERT_TRUE(welcome.has_value() && welcome->fds.size() == 1);
  const int page = welcome->fds[0].get();
  Forked other([page] {
    ASSERT_EQ(::setgroups(0, nullptr), 0);
    ASSERT_EQ(::setgid(DaemonProcess::kClientsGid), 0);
    ASSERT_EQ(::setuid(*Alice().uid), 0);
    EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0), MAP_FAILED);
    EXPECT_EQ(errno, EACCES);
    EXPECT_NE(::ftruncate(page, 0), 0);
    EXPECT_NE(::pwrite(page, "x", 1, 64), 1);
    EXPECT_EQ(::open(absl::StrCat("/proc/self/fd/", page).c_str(), O_RDWR | O_CLOEXEC), -1);
    EXPECT_EQ(errno, EACCES);
    EXPECT_NE(::fchmod(page, 0666), 0);
    void* mapping = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, page, 0);
    ASSERT_NE(mapping, MAP_FAILED);
    EXPECT_NE(::mprotect(mapping, 4096, PROT_READ | PROT_WRITE), 0);
  });
  other.ExpectToSucceed();
}

}  // namespace
}  // namespace hlbuf
