// SPDX-License-Identifier: Apache-2.0
// Opening a card, and what it says of itself.
#include "daemon/device/habanalabs_card.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"
#include "daemon/device/fake_habanalabs.h"
#include "daemon/device/fake_syscalls.h"

namespace hlbuf {
namespace {

class HabanalabsCardTest : public testing::Test {
 protected:
  void Add(const HlCard& like = {}) {
    fake_ = &machine_.Add(like);
    card_ = std::make_unique<HabanalabsCard>(machine_, opener_, like.pci, machine_.roots(),
                                             HabanalabsLimits{});
  }
  void AddOpen(const HlCard& like = {}) {
    Add(like);
    const absl::Status opened = card_->Open();
    ASSERT_TRUE(opened.ok()) << opened;
  }
  // What Open() says, which must be DEVICE_UNAVAILABLE or DEVICE_ERROR and leave nothing open.
  std::string Refusal(ErrorCode code) {
    const std::size_t before = OpenFdCount();
    const absl::Status opened = card_->Open();
    EXPECT_EQ(ErrorCodeOf(opened), code) << opened;
    EXPECT_FALSE(card_->is_open());
    EXPECT_LE(OpenFdCount(), before + 1) << "more than the control node";
    return std::string(opened.message());
  }
  FakeHabanalabs machine_;
  DirectOpener opener_{machine_};
  FakeHabanalabsCard* fake_ = nullptr;
  std::unique_ptr<HabanalabsCard> card_;
};

TEST_F(HabanalabsCardTest, OpensBothNodesAndRegistersItsNotifier) {
  AddOpen();
  EXPECT_EQ(machine_.opened,
            (std::vector<std::string>{machine_.roots().dev + "/accel/accel_controlD0",
                                      machine_.roots().dev + "/accel/accel0"}));
  EXPECT_GE(card_->notifier_fd(), 0);
  EXPECT_TRUE(IsCloseOnExec(card_->notifier_fd()));
  EXPECT_TRUE(fake_->InUse());
  ASSERT_TRUE(card_->Close().ok());
  EXPECT_FALSE(fake_->InUse());
  EXPECT_EQ(card_->notifier_fd(), -1);
}

TEST_F(HabanalabsCardTest, OpensTheCardThatIsMeant) {
  machine_.Add({.pci = "0000:b3:00.0", .module_id = 1});
  AddOpen({.pci = "0000:19:00.0", .module_id = 0});
  EXPECT_EQ(card_->driver().path(), machine_.roots().dev + "/accel/accel1");
}

TEST_F(HabanalabsCardTest, RejectsAControlNodeThatBelongsToAnotherCard) {
  Add({.module_id = 2, .module_id_at_control = 3});
  const std::string refusal = Refusal(ErrorCode::kDeviceError);
  EXPECT_TRUE(absl::StrContains(refusal, "accel_controlD0: belongs to another card")) << refusal;
  EXPECT_TRUE(absl::StrContains(refusal, "says module 3, but 0000:19:00.0 is module 2"));
}

TEST_F(HabanalabsCardTest, RejectsANodeThatWasLeftOver) {
  Add();
  machine_.number_shift = makedev(247, 0);
  const std::string refusal = Refusal(ErrorCode::kDeviceError);
  EXPECT_TRUE(absl::StrContains(refusal, "made by hand")) << refusal;
}

TEST_F(HabanalabsCardTest, NeedsAControlNode) {
  Add();
  std::filesystem::remove_all(machine_.roots().sys + "/class/accel/accel_controlD0");
  EXPECT_TRUE(absl::StrContains(Refusal(ErrorCode::kDeviceUnavailable), "no control node"));
}

TEST_F(HabanalabsCardTest, SaysWhyTheControlNodeCannotBeOpened) {
  Add();
  const std::vector<std::pair<int, std::string>> reasons = {
      {EPERM, "disabled the card"},     {ENXIO, "no card is behind"},
      {ENOENT, "DeviceAllow="},         {EACCES, "add the service's user"},
      {ENODEV, "the card was removed"}, {EMFILE, "LimitNOFILE="}};
  for (const auto& [error, words] : reasons) {
    fake_->Fail(HlCall::kOpenControl, error);
    const std::string refusal = Refusal(ErrorCode::kDeviceUnavailable);
    EXPECT_TRUE(absl::StrContains(refusal, words)) << refusal;
  }
}

TEST_F(HabanalabsCardTest, SaysWhyTheCardCannotBeOpened) {
  Add();
  const std::vector<std::pair<int, std::string>> reasons = {
      {EBUSY, "another program has it"}, {EPERM, "write 1 to hard_reset"},
      {ENODEV, "was removed"},           {ENXIO, "no card is behind"},
      {ENOENT, "modprobe habanalabs"},   {EACCES, "add the service's user"}};
  for (const auto& [error, words] : reasons) {
    fake_->Fail(HlCall::kOpenCompute, error);
    const std::string refusal = Refusal(ErrorCode::kDeviceUnavailable);
    EXPECT_TRUE(absl::StrContains(refusal, words)) << refusal;
  }
  fake_->Fail(HlCall::kOpenCompute, ENOMEM);
  Refusal(ErrorCode::kNoMemory);
  EXPECT_EQ(machine_.paused, absl::ZeroDuration());
  EXPECT_TRUE(card_->Open().ok());
}

TEST_F(HabanalabsCardTest, WaitsForACardThatIsAboutToBeFree) {
  Add();
  fake_->Fail(HlCall::kOpenCompute, EAGAIN, 5);
  EXPECT_TRUE(card_->Open().ok());
  EXPECT_EQ(machine_.paused, absl::Milliseconds(10 + 20 + 40 + 80 + 160));
}

TEST_F(HabanalabsCardTest, WaitsForAUserThatIsBeingCleanedUp) {
  Add();
  fake_->in_release = true;
  fake_->Fail(HlCall::kOpenCompute, EBUSY, 2);
  machine_.at_pause = {[] {}, [&] { fake_->in_release = false; }};
  EXPECT_TRUE(card_->Open().ok());
}

TEST_F(HabanalabsCardTest, WaitsAfterAResetOverEveryErrnoThatPasses) {
  AddOpen();
  ASSERT_TRUE(card_->Close().ok());
  for (const int error : {EBUSY, EAGAIN, EPERM}) {
    fake_->Fail(HlCall::kOpenCompute, error, 3);
    EXPECT_TRUE(card_->Open().ok()) << error;
  }
}

TEST_F(HabanalabsCardTest, WaitsNoLongerThanItsLimit) {
  Add();
  fake_->Fail(HlCall::kOpenCompute, EAGAIN, 100'000);
  EXPECT_TRUE(absl::StrContains(Refusal(ErrorCode::kDeviceUnavailable), "it can be opened later"));
  EXPECT_EQ(machine_.paused, HabanalabsLimits().open);
}

TEST_F(HabanalabsCardTest, StopsWaitingWhenItIsInterrupted) {
  Add();
  fake_->Fail(HlCall::kOpenCompute, EAGAIN, 100'000);
  machine_.at_pause = {[] {}, [&] { card_->Interrupt(); }};
  Refusal(ErrorCode::kDeviceUnavailable);
  EXPECT_EQ(machine_.paused, absl::Milliseconds(10 + 20));
}

TEST_F(HabanalabsCardTest, IsNotOpenWithoutANotifier) {
  Add();
  machine_.eventfd_error = EMFILE;
  Refusal(ErrorCode::kDeviceError);
  machine_.eventfd_error = 0;
  fake_->Fail(HlCall::kRegisterEventfd, EBUSY);
  Refusal(ErrorCode::kDeviceUnavailable);
  EXPECT_FALSE(fake_->InUse());
  EXPECT_TRUE(card_->Open().ok());
}

TEST_F(HabanalabsCardTest, SaysNothingWhileNothingIsTheMatter) {
  AddOpen();
  EXPECT_FALSE(card_->CheckAlarm().has_value());
  fake_->Raise(hl::kEventUserEngineError | hl::kEventPageFault);
  EXPECT_FALSE(card_->CheckAlarm().has_value());
  ASSERT_TRUE(card_->Close().ok());
  EXPECT_FALSE(card_->CheckAlarm().has_value());
}

TEST_F(HabanalabsCardTest, AnnouncesAResetWithItsWindowAsOftenAsItIsAsked) {
  AddOpen();
  fake_->Raise(hl::kEventDeviceReset | hl::kEventGeneralHwError);
  for (int i = 0; i < 2; ++i) {
    const auto alarm = card_->CheckAlarm();
    ASSERT_TRUE(alarm.has_value());
    EXPECT_EQ(alarm->kind, Alarm::Kind::kResetPending);
    EXPECT_EQ(alarm->window, absl::Seconds(30));
    EXPECT_EQ(alarm->text, "0000:19:00.0: the driver resets the card within 30s: hardware error");
  }
}

TEST_F(HabanalabsCardTest, QuietensItsNotifierWhenItIsAsked) {
  AddOpen();
  const auto is_readable = [&] {
    pollfd notifier = {.fd = card_->notifier_fd(), .events = POLLIN, .revents = 0};
    return ::poll(&notifier, 1, 0) == 1;
  };
  EXPECT_FALSE(is_readable());
  ASSERT_EQ(::eventfd_write(card_->notifier_fd(), 2), 0);
  EXPECT_TRUE(is_readable());
  EXPECT_FALSE(card_->CheckAlarm().has_value());
  EXPECT_FALSE(is_readable());
}

TEST_F(HabanalabsCardTest, HasNoWindowWhenTheFirmwareResets) {
  AddOpen();
  fake_->Raise(hl::kEventDeviceReset | hl::kEventDeviceUnavailable | hl::kEventCriticalFwError);
  const auto alarm = card_->CheckAlarm();
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(alarm->kind, Alarm::Kind::kResetPending);
  EXPECT_EQ(alarm->window, absl::ZeroDuration());
  EXPECT_TRUE(absl::StrContains(alarm->text, "at once: critical firmware error")) << alarm->text;
}

TEST_F(HabanalabsCardTest, KnowsTheWindowOfEachKernel) {
  using enum HabanalabsDriver::Uapi;
  EXPECT_EQ(HabanalabsReleaseWindow(kAccel, "6.12.95+deb12-amd64\n"), absl::Seconds(30));
  EXPECT_EQ(HabanalabsReleaseWindow(kLegacy, "6.6.1"), absl::Seconds(5));
  EXPECT_EQ(HabanalabsReleaseWindow(kLegacy, "6.2.0-rc1"), absl::Seconds(5));
  EXPECT_EQ(HabanalabsReleaseWindow(kLegacy, "7.1\n"), absl::Seconds(5));
  EXPECT_EQ(HabanalabsReleaseWindow(kLegacy, "6.1.0-32-amd64\n"), absl::ZeroDuration());
  EXPECT_EQ(HabanalabsReleaseWindow(kLegacy, "5.19"), absl::ZeroDuration());
  EXPECT_EQ(HabanalabsReleaseWindow(kLegacy, ""), absl::ZeroDuration());
}

TEST_F(HabanalabsCardTest, TellsOfAResetThatSentNoEvent) {
  AddOpen();
  fake_->status = hl::kInReset;
  EXPECT_EQ(card_->CheckAlarm()->kind, Alarm::Kind::kReset);
  fake_->status = hl::kOperational;
  ++fake_->hard_resets;
  const auto alarm = card_->CheckAlarm();
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(alarm->kind, Alarm::Kind::kReset);
  EXPECT_TRUE(absl::EndsWith(alarm->text, "RESET_COUNT is 4 after 3")) << alarm->text;
}

TEST_F(HabanalabsCardTest, NoticesAResetThatEndsWhileItIsBeingOpened) {
  Add();
  fake_->Fail(HlCall::kOpenCompute, EAGAIN);
  machine_.at_pause = {[&] { ++fake_->hard_resets; }};
  ASSERT_TRUE(card_->Open().ok());
  EXPECT_FALSE(card_->CheckAlarm().has_value());
}

TEST_F(HabanalabsCardTest, TellsOfACardThatDoesNotComeBackByItself) {
  AddOpen();
  for (const hl::Status status : {hl::kMalfunction, hl::kNeedsReset}) {
    fake_->status = status;
    const auto alarm = card_->CheckAlarm();
    ASSERT_TRUE(alarm.has_value());
    EXPECT_EQ(alarm->kind, Alarm::Kind::kDisabled);
    EXPECT_TRUE(absl::StrContains(alarm->text, "/hard_reset")) << alarm->text;
  }
  fake_->status = hl::kOperational;
  fake_->Fail(HlCall::kInfo, ENODEV, 3);
  const auto gone = card_->CheckAlarm();
  ASSERT_TRUE(gone.has_value());
  EXPECT_EQ(gone->kind, Alarm::Kind::kDisabled);
  EXPECT_TRUE(absl::StrContains(gone->text, "was removed")) << gone->text;
}

// Two questions a look.
TEST_F(HabanalabsCardTest, LosesACardThatNeverAnswersAndNotOneThatMissesALook) {
  constexpr int kQuestions = 2;
  AddOpen();
  fake_->Fail(HlCall::kInfo, ENOMEM, (HabanalabsCard::kUnansweredMax - 1) * kQuestions);
  for (int look = 1; look <= HabanalabsCard::kUnansweredMax; ++look)
    EXPECT_FALSE(card_->CheckAlarm().has_value()) << look;
  fake_->Fail(HlCall::kInfo, ENOMEM, (HabanalabsCard::kUnansweredMax + 1) * kQuestions);
  for (int look = 1; look <= HabanalabsCard::kUnansweredMax; ++look)
    EXPECT_FALSE(card_->CheckAlarm().has_value()) << look << ", all at once";
  machine_.since_boot += HabanalabsCard::kUnansweredFor;
  const auto lost = card_->CheckAlarm();
  ASSERT_TRUE(lost.has_value());
  EXPECT_EQ(lost->kind, Alarm::Kind::kDisabled);
  EXPECT_TRUE(absl::StrContains(lost->text, "ENOMEM")) << lost->text;
}

TEST_F(HabanalabsCardTest, ReadsWhetherTheDriverClearsMemory) {
  Add();
  EXPECT_FALSE(card_->ScrubsMemory());
  machine_.SetMemoryScrub(true);
  EXPECT_TRUE(card_->ScrubsMemory());
  machine_.WriteSysfs("module/habanalabs/parameters/memory_scrub", "N\n");
  EXPECT_FALSE(card_->ScrubsMemory());
  std::filesystem::remove(machine_.roots().sys + "/module/habanalabs/parameters/memory_scrub");
  EXPECT_FALSE(card_->ScrubsMemory());
}

}  // namespace
}  // namespace hlbuf
