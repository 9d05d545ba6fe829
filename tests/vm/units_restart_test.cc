// SPDX-License-Identifier: Apache-2.0
// What each way to end the installed service leaves of a card and of what is held on it: the table
// of README.md. The same without a card: tests/system/restart_system_test.cc.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <memory>

#include "absl/strings/str_cat.h"
#include "tests/support/texts.h"
#include "tests/vm/card_units.h"

namespace hlbuf {
namespace {

class CardUnitsRestart : public CardUnits {
 protected:
  void HoldABuffer() {
    Must({"start", kTarget});
    ASSERT_TRUE(Serves());
    service_ = MainPid();
    keeper_ = KeeperPid();
    alice_ = std::make_unique<LibraryClient>(Member(64'001), kClientSocket);
    made_ = alice_->Allocate(kBytes, "weights");
  }
  LibraryClient& alice() { return *alice_; }
  const HeldBuffer& made() const { return made_; }
  // Of the service, while the buffer was made.
  pid_t service() const { return service_; }

  static ino_t InodeOf(LibraryClient& client, const HeldBuffer& held) {
    struct stat file = {};
    EXPECT_EQ(::fstat(client.process().Give(held.fd).get(), &file), 0);
    return file.st_ino;
  }
  // Nothing was opened, and nothing exported, a second time; her session goes on.
  void ExpectKept() {
    ASSERT_TRUE(Serves());
    EXPECT_EQ(KeeperPid(), keeper_);
    EXPECT_EQ(card_.HardResets(), 0U);
    const HeldBuffer again = alice_->Open(made_.id);
    EXPECT_EQ(again.epoch, made_.epoch);
    EXPECT_EQ(InodeOf(*alice_, again), InodeOf(*alice_, made_));
    alice_->Release(again);
    const HeldBuffer next = alice_->Allocate(kBytes);
    EXPECT_EQ(next.epoch, made_.epoch);
    alice_->Release(next);
  }
  void ExpectAnotherProcess() {
    EXPECT_TRUE(Eventually([this] {
      const pid_t now = MainPid();
      return now != 0 && now != service_;
    }));
  }
  // What she has is of an epoch that is over.
  void ExpectGone() {
    EXPECT_TRUE(StartsWith(alice_->AwaitNotice("revoke "),
                           absl::StrCat("revoke ", made_.id, " SERVICE_GONE")));
  }

 private:
  std::unique_ptr<LibraryClient> alice_;
  HeldBuffer made_;
  pid_t service_ = 0, keeper_ = 0;
};

TEST_F(CardUnitsRestart, KeepTheCardOpenAndWhatIsHeld) {
  HoldABuffer();
  Must({"restart", kService});
  EXPECT_NE(MainPid(), service());
  ExpectKept();
}

TEST_F(CardUnitsRestart, KeepTheCardOpenAndWhatIsHeldOverAKill) {
  HoldABuffer();
  ASSERT_EQ(::kill(service(), SIGKILL), 0);
  ExpectAnotherProcess();
  ExpectKept();
  EXPECT_EQ(Show(kService, "NRestarts"), "1");
}

TEST_F(CardUnitsRestart, KeepTheCardOpenAndWhatIsHeldWhenTheWatchdogKillsIt) {
  DropIn("WatchdogSec=5s");
  HoldABuffer();
  ASSERT_EQ(::kill(service(), SIGSTOP), 0);
  EXPECT_TRUE(IsLogged("Watchdog timeout"));
  ExpectAnotherProcess();
  ExpectKept();
}

TEST_F(CardUnitsRestart, KeepTheCardOpenAndWhatIsHeldOverAReload) {
  HoldABuffer();
  Configure(absl::StrCat("[limits.uid]\nbuffers = 2\n", kOneCard));
  Must({"reload", kService});
  ExpectKept();
  EXPECT_EQ(MainPid(), service());
  const HeldBuffer second = alice().Allocate(kBytes);
  EXPECT_TRUE(Eventually(
      [this] { return Contains(alice().RefusalToAllocate(kBytes), "has 2 of 2 buffers"); }));
  alice().Release(second);
}

// What is held then is nobody's business any more, but the card cannot be opened before it is let
// go.
TEST_F(CardUnitsRestart, HaveAStopEndTheEpochAndTheNextOneWaitForWhoHoldsTheCard) {
  HoldABuffer();
  alice().KeepWhatIsRevoked();
  Must({"stop", kTarget});
  EXPECT_TRUE(Eventually([] { return KeeperUnits().empty(); }));
  Must({"start", kTarget});
  ExpectGone();
  EXPECT_TRUE(Contains(Bob().RefusalToAllocate(kBytes), "DEVICE_UNAVAILABLE"));
  alice().Release(made());
  EXPECT_TRUE(Serves());
  EXPECT_GT(Bob().Allocate(kBytes).epoch, made().epoch);
}

// Its sockets stay, and her library's return may start it before anybody else does.
TEST_F(CardUnitsRestart, HaveAStopOfTheServiceAloneEndTheEpochForAClientThatStays) {
  HoldABuffer();
  Must({"stop", kService});
  EXPECT_TRUE(Comes(kService, "NFileDescriptorStore", "0"));
  Must({"start", kService});
  ExpectAnotherProcess();
  ExpectGone();
  alice().Release(made());
  EXPECT_TRUE(Serves());
  EXPECT_EQ(alice().Connect(kClientSocket), "") << "as hlbuf.h tells her";
  EXPECT_GT(alice().Allocate(kBytes).epoch, made().epoch);
  EXPECT_EQ(card_.HardResets(), 0U);
}

}  // namespace
}  // namespace hlbuf
