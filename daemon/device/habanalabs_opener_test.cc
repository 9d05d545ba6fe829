// SPDX-License-Identifier: Apache-2.0
// HabanalabsExporter when the process that opened the card dies: a reset, or only a stray kill.
#include <sys/socket.h>

#include <cerrno>
#include <optional>

#include "absl/strings/match.h"
#include "daemon/device/test_habanalabs_rig.h"

namespace hlbuf {
namespace {

class HabanalabsOpenerTest : public HabanalabsExporterRig {
 protected:
  // What is said of a dead opener.
  std::string Loss() {
    const std::optional<Alarm> alarm = exporter_->CheckAlarm();
    EXPECT_TRUE(alarm.has_value());
    if (!alarm.has_value()) return "";
    EXPECT_EQ(alarm->kind, Alarm::Kind::kOpenerLost);
    return alarm->text;
  }
};

TEST_F(HabanalabsOpenerTest, IsFollowedByOneThatKeepsEverything) {
  StartOpen();
  const Allocation first = Export(kPage);
  const Allocation second = Export(kPage, kBob);
  EXPECT_EQ(exporter_->keeper(), KeeperRole::kOpened);
  opener_->Die();
  const std::string text = Loss();
  EXPECT_EQ(exporter_->keeper(), KeeperRole::kSuccessor);
  EXPECT_TRUE(absl::StrContains(text, "died without a reset (process 4711 killed by SIGKILL)"));
  EXPECT_TRUE(absl::StrContains(text, "will find no process to kill")) << text;
  EXPECT_EQ(opener_->begun, 1);
  for (const std::uint64_t id : {HabanalabsCard::kKeptCard, HabanalabsCard::kKeptNotifier,
                                 std::uint64_t{first.inode}, std::uint64_t{second.inode}})
    EXPECT_TRUE(opener_->copies.contains(id)) << id;
  Export(kPage);
  EXPECT_EQ(opener_->copies.size(), 5u) << "what comes later is kept as well";
}

TEST_F(HabanalabsOpenerTest, IsNotMissedWhenTheCardIsBeingReset) {
  StartOpen();
  card_->status = hl::kInReset;
  opener_->Die();
  const auto alarm = exporter_->CheckAlarm();
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(alarm->kind, Alarm::Kind::kReset);
  EXPECT_EQ(opener_->begun, 0);
}

TEST_F(HabanalabsOpenerTest, IsNotMissedWhenAResetIsOver) {
  StartOpen();
  ++card_->hard_resets;
  opener_->Die();
  EXPECT_EQ(exporter_->CheckAlarm()->kind, Alarm::Kind::kReset);
  EXPECT_EQ(opener_->begun, 0);
}

// The card may be in a reset, which is why it does not answer.
TEST_F(HabanalabsOpenerTest, IsMissedOnlyOnceTheCardAnswers) {
  constexpr int kQuestions = 2;  // a look
  StartOpen();
  opener_->Die();
  card_->Fail(HlCall::kInfo, ENOMEM, 2 * kQuestions);
  for (int look = 1; look <= 2; ++look) EXPECT_FALSE(exporter_->CheckAlarm().has_value()) << look;
  EXPECT_EQ(opener_->begun, 0);
  Loss();
  EXPECT_EQ(opener_->begun, 1);
}

TEST_F(HabanalabsOpenerTest, IsNotMissedWhenTheCardWasResetBeforeItAnswered) {
  StartOpen();
  opener_->Die();
  card_->Fail(HlCall::kInfo, ENOMEM, 2);
  EXPECT_FALSE(exporter_->CheckAlarm().has_value());
  ++card_->hard_resets;
  EXPECT_EQ(exporter_->CheckAlarm()->kind, Alarm::Kind::kReset);
  EXPECT_EQ(opener_->begun, 0);
}

TEST_F(HabanalabsOpenerTest, LostIsSaidUntilTheCardIsOpenedAnew) {
  StartOpen();
  opener_->Die();
  const std::string text = Loss();
  EXPECT_EQ(Loss(), text);
  EXPECT_EQ(opener_->begun, 1);
  ResetAndOpen();
  EXPECT_FALSE(exporter_->CheckAlarm().has_value());
}

TEST_F(HabanalabsOpenerTest, LostDoesNotHideAResetThatComesThen) {
  StartOpen();
  opener_->Die();
  Loss();
  card_->Raise(hl::kEventDeviceReset);
  EXPECT_EQ(exporter_->CheckAlarm()->kind, Alarm::Kind::kResetPending);
}

TEST_F(HabanalabsOpenerTest, OfALostOneARestartIsTheWayOutWhereItClosesTheCard) {
  StartOpen();
  opener_->survives = false;
  opener_->Die();
  EXPECT_TRUE(absl::StrContains(Loss(), "a restart of the service at a quiet moment opens it"));
}

TEST_F(HabanalabsOpenerTest, OfALostOneAStopIsTheWayOutWhereARestartGoesOnWithTheCard) {
  StartOpen();
  opener_->Die();
  EXPECT_TRUE(absl::StrContains(
      Loss(), "a start after `systemctl stop hl-bufd.target` at a quiet moment opens it"));
}

TEST_F(HabanalabsOpenerTest, OfALostOneADrillIsTheWayOutWhereDrillsAreAllowed) {
  StartOpen({}, {.drills = true});
  opener_->Die();
  EXPECT_TRUE(absl::StrContains(Loss(), "`hl-bufctl simulate-reset gaudi0` at a quiet moment"));
}

// References may be counted already: a copy would be one more.
TEST_F(HabanalabsOpenerTest, SuccessorGetsNothingThatTheFirstWasToldToDrop) {
  StartOpen();
  const Allocation counted = Export(kPage);
  const Allocation could_not_be_dropped = Export(kPage);
  exporter_->DropCopies({counted.fd.get()});
  opener_->fail_drop = absl::DeadlineExceededError("the keeper does not answer");
  exporter_->DropCopies({could_not_be_dropped.fd.get()});
  opener_->Die();
  Loss();
  EXPECT_EQ(opener_->copies.size(), 2u) << "the card and its notifier";
}

TEST_F(HabanalabsOpenerTest, SuccessorDropsWhatItKeepsBeforeReferencesAreCounted) {
  StartOpen();
  Allocation made = Export(kPage);
  opener_->Die();
  Loss();
  exporter_->DropCopies({made.fd.get()});
  EXPECT_FALSE(opener_->copies.contains(made.inode));
  Free(std::move(made));
  EXPECT_EQ(card_->log.back(), "UNMAP");
}

// The number is another file's by now.
TEST_F(HabanalabsOpenerTest, SuccessorGetsNoNumberThatWasClosed) {
  StartOpen();
  Allocation made = Export(kPage);
  const ino_t inode = made.inode;
  const int number = made.fd.get();
  made.fd.Reset();
  const UniqueFd other(
      ::fcntl(opener_->copies.at(HabanalabsCard::kKeptNotifier).get(), F_DUPFD_CLOEXEC, number));
  ASSERT_EQ(other.get(), number);
  opener_->Die();
  Loss();
  EXPECT_FALSE(opener_->copies.contains(inode));
  EXPECT_EQ(opener_->copies.size(), 2u);
}

TEST_F(HabanalabsOpenerTest, WithoutASuccessorSaysThatNobodyKeepsCopies) {
  StartOpen();
  const Allocation made = Export(kPage);
  opener_->fail_begins = 100;
  opener_->Die();
  for (int look = 1; look < HabanalabsExporter::kSuccessorsMax; ++look)
    EXPECT_FALSE(exporter_->CheckAlarm().has_value()) << "not while it is tried again";
  const std::string text = Loss();
  EXPECT_TRUE(absl::EndsWith(text, "nobody keeps copies: cannot start hl-bufd-keeper")) << text;
  EXPECT_EQ(exporter_->keeper(), KeeperRole::kNone);
  EXPECT_TRUE(opener_->copies.empty());
  EXPECT_EQ(Loss(), text);
  EXPECT_EQ(opener_->begun, HabanalabsExporter::kSuccessorsMax) << "not for ever";
}

TEST_F(HabanalabsOpenerTest, GetsASuccessorThatDidNotBeginAtOnce) {
  StartOpen();
  const Allocation made = Export(kPage);
  opener_->fail_begins = 1;
  opener_->Die();
  EXPECT_FALSE(exporter_->CheckAlarm().has_value());
  const std::string text = Loss();
  EXPECT_TRUE(absl::StrContains(text, "the opener of the card died without a reset")) << text;
  EXPECT_FALSE(absl::StrContains(text, "copies")) << text;
  EXPECT_TRUE(opener_->copies.contains(made.inode));
}

TEST_F(HabanalabsOpenerTest, WhoseSuccessorTakesNotEverythingSaysThat) {
  StartOpen();
  opener_->Die();
  opener_->fail_keep = Error(ErrorCode::kDeviceError, "the keeper has no room");
  EXPECT_TRUE(absl::EndsWith(Loss(), "; not everything is kept: the keeper has no room"));
}

TEST_F(HabanalabsOpenerTest, WhoseSuccessorsDieTooGetsNoMoreOfThem) {
  StartOpen();
  for (int i = 0; i < HabanalabsExporter::kSuccessorsMax; ++i) {
    opener_->Die();
    EXPECT_FALSE(absl::StrContains(Loss(), "nobody keeps copies"));
  }
  opener_->Die();
  EXPECT_TRUE(
      absl::EndsWith(Loss(), "nobody keeps copies: 3 successors died, too, or did not begin"));
  EXPECT_EQ(opener_->begun, HabanalabsExporter::kSuccessorsMax);
  EXPECT_EQ(opener_->ended, HabanalabsExporter::kSuccessorsMax + 1);
  ResetAndOpen();
  opener_->Die();
  EXPECT_FALSE(absl::StrContains(Loss(), "nobody keeps copies"));
}

TEST_F(HabanalabsOpenerTest, MakesTheAlarmReadableWhenItDies) {
  Start();
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  opener_->death = UniqueFd(ends[0]);
  UniqueFd keeper(ends[1]);
  ASSERT_TRUE(exporter_->Open().ok());
  EXPECT_FALSE(AlarmIsReadable());
  keeper.Reset();
  opener_->Die();
  EXPECT_TRUE(AlarmIsReadable());
  opener_->fail_begins = 1;
  exporter_->CheckAlarm();
  EXPECT_FALSE(AlarmIsReadable());
}

}  // namespace
}  // namespace hlbuf
