// SPDX-License-Identifier: Apache-2.0
// Allocations that wait for their device, through resets and openings.
#include <gtest/gtest.h>

#include "daemon/core/error.h"
#include "daemon/core/waiting_allocations.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

using enum DeviceState;
using Words = std::vector<std::string>;

class WaitingAllocation : public testing::Test {
 protected:
  explicit WaitingAllocation(RigOptions options = RigOptions()) : rig_(std::move(options)) {}
  DeviceState state() const { return rig_.broker.FindDevice("fake0")->state(); }
  // What becomes of it is in `answers_`, in the order in which they were answered.
  void Allocate(FakeClient& client, const std::string& name,
                absl::Duration wait = absl::Minutes(1)) {
    rig_.broker.Allocate(client.session(), {.size_bytes = kPage, .name = name, .wait = wait},
                         [this, name](const absl::StatusOr<LeaseId>& lease) {
                           answers_.push_back(name + " " + CodeOf(lease));
                           said_ = std::string(lease.status().message());
                         });
  }
  // In a reset, until everybody has let go.
  void BeginReset(Drill drill = Drill::kNone) {
    held_ = alice_.Allocate();
    EXPECT_EQ(rig_.Reset(absl::Seconds(20), drill), "OK");
    EXPECT_EQ(state(), kRevoking);
  }
  void EndReset() {
    alice_.Release(held_);
    rig_.Run();
  }

  Words answers_;     // outlives the rig, which answers what is left at its end
  std::string said_;  // with the last of them
  BrokerRig rig_;
  FakeClient& alice_ = rig_.Connect(PeerOf(1000));
  FakeClient& bob_ = rig_.Connect(PeerOf(1001));
  LeaseId held_;
};

TEST_F(WaitingAllocation, GoesOnWhenTheResetIsOver) {
  BeginReset();
  Allocate(bob_, "x");
  rig_.Run();
  EXPECT_EQ(answers_, Words());
  EXPECT_EQ(bob_.session().waiting_allocations, 1u);
  EndReset();
  EXPECT_EQ(state(), kReady);
  EXPECT_EQ(answers_, Words{"x OK"});
  EXPECT_EQ(bob_.session().leases.at(0)->buffer->epoch, 2u);
  EXPECT_EQ(bob_.session().waiting_allocations, 0u);
}

TEST_F(WaitingAllocation, IsRefusedAtOnceWhereNobodySaidThatItShouldWait) {
  BeginReset();
  Allocate(bob_, "x", absl::ZeroDuration());
  EXPECT_EQ(answers_, Words{"x DEVICE_UNAVAILABLE"});
}

TEST_F(WaitingAllocation, DoesNotWaitForAReadyDevice) {
  Allocate(bob_, "x");
  rig_.Run();
  EXPECT_EQ(answers_, Words{"x OK"});
}

TEST_F(WaitingAllocation, GoesOnInTheOrderInWhichItCame) {
  BeginReset();
  Allocate(bob_, "first");
  Allocate(alice_, "second");
  Allocate(bob_, "third");
  EndReset();
  EXPECT_EQ(answers_, (Words{"first OK", "second OK", "third OK"}));
}

TEST_F(WaitingAllocation, EndsWithItsTime) {
  BeginReset();
  rig_.Hold(rig_.Find(held_)->buffer->id, 1);
  Allocate(bob_, "x", absl::Seconds(3));
  rig_.Advance(absl::Milliseconds(2999));
  EXPECT_EQ(answers_, Words());
  rig_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(answers_, Words{"x DEVICE_UNAVAILABLE"});
}

TEST_F(WaitingAllocation, EndsWithItsSession) {
  BeginReset();
  Allocate(bob_, "x");
  bob_.Die();
  EXPECT_EQ(answers_, Words{"x GONE"});
  EndReset();
  EXPECT_EQ(rig_.device.allocated(), 0u);
}

TEST_F(WaitingAllocation, EndsWhenTheDeviceStaysAway) {
  BeginReset(Drill::kFails);
  Allocate(bob_, "x");
  EndReset();
  EXPECT_EQ(state(), kFailed);
  EXPECT_EQ(answers_, Words{"x DEVICE_UNAVAILABLE"});
  Allocate(bob_, "y");
  EXPECT_EQ(answers_.back(), "y DEVICE_UNAVAILABLE") << "nobody opens it again";
}

TEST_F(WaitingAllocation, WaitsForADeviceThatIsOpenedAgainAndAgain) {
  rig_.device.fail_open = Error(ErrorCode::kDeviceUnavailable, "no such node");
  BeginReset();
  Allocate(bob_, "x");
  EndReset();
  ASSERT_EQ(state(), kFailed);
  EXPECT_EQ(answers_, Words());
  Allocate(bob_, "y");
  rig_.Advance(Resets::kFirstPause);
  EXPECT_EQ(state(), kReady);
  EXPECT_EQ(answers_, (Words{"x OK", "y OK"}));
}

TEST_F(WaitingAllocation, WaitsForADeviceThatWasNeverOpenYet) {
  rig_.AddDevice("fake1", FakeBackend::DefaultTraits());
  rig_.broker.Allocate(
      bob_.session(), {.size_bytes = 1, .device = "fake1", .wait = absl::Minutes(1)},
      [this](const absl::StatusOr<LeaseId>& lease) { answers_.push_back(CodeOf(lease)); });
  EXPECT_EQ(answers_, Words());
  rig_.Run();
  EXPECT_EQ(answers_, Words{"OK"});
}

TEST_F(WaitingAllocation, EndsWhenTheDeviceIsDrained) {
  BeginReset();
  Allocate(bob_, "x");
  rig_.Drain();
  EXPECT_EQ(answers_, Words{"x DEVICE_UNAVAILABLE"});
  Allocate(bob_, "y");
  EXPECT_EQ(answers_.back(), "y DEVICE_UNAVAILABLE");
  EndReset();
  EXPECT_EQ(state(), kDrained);
  Allocate(bob_, "z");
  EXPECT_EQ(answers_.back(), "z DEVICE_UNAVAILABLE");
}

// The one that comes next is of that session, too.
TEST_F(WaitingAllocation, MayEndItsSessionWithItsAnswer) {
  BeginReset();
  rig_.broker.Allocate(bob_.session(), {.size_bytes = kPage, .wait = absl::Minutes(1)},
                       [this](const absl::StatusOr<LeaseId>& lease) {
                         answers_.push_back("x " + CodeOf(lease));
                         bob_.Die();
                       });
  Allocate(bob_, "y");
  Allocate(alice_, "z");
  rig_.Drain();
  EXPECT_EQ(answers_, (Words{"x DEVICE_UNAVAILABLE", "y GONE", "z DEVICE_UNAVAILABLE"}));
}

TEST_F(WaitingAllocation, IsJudgedLikeAnyOtherBeforeItWaits) {
  BeginReset();
  rig_.broker.Allocate(
      bob_.session(), {.size_bytes = 1, .device = "fake9", .wait = absl::Minutes(1)},
      [this](const absl::StatusOr<LeaseId>& lease) { answers_.push_back(CodeOf(lease)); });
  Allocate(bob_, "no name at all");
  EXPECT_EQ(answers_, (Words{"NOT_FOUND", "no name at all INVALID_ARGUMENT"}));
}

// What was being allocated when the reset came is none of the client's business.
TEST_F(WaitingAllocation, IsAlsoOneThatTheResetInterrupted) {
  held_ = alice_.Allocate();
  Allocate(bob_, "x");
  rig_.device.Work();
  rig_.Reset(absl::Seconds(20));
  rig_.Run();
  EXPECT_EQ(answers_, Words());
  EXPECT_EQ(rig_.device.calls.back(), "free 2") << "it went back to the device";
  EndReset();
  EXPECT_EQ(answers_, Words{"x OK"});
  EXPECT_EQ(bob_.session().leases.at(0)->buffer->epoch, 2u);
}

// The driver may know of a reset before we do.
TEST_F(WaitingAllocation, IsAlsoOneThatTheDeviceRefusedBecauseItIsAway) {
  rig_.device.fail_allocate = Error(ErrorCode::kDeviceUnavailable, "in reset");
  Allocate(bob_, "x");
  rig_.Run();
  EXPECT_EQ(state(), kReady);
  EXPECT_EQ(answers_, Words());
  rig_.Advance(WaitingAllocations::kPause);
  EXPECT_EQ(answers_, Words{"x OK"});
  EXPECT_EQ(rig_.observer.Count(EventKind::kRequestRefused), 0u) << "nobody was refused anything";
}

TEST_F(WaitingAllocation, EndsWithWhatAReadyDeviceSaidLastAndIsToldOnce) {
  Allocate(bob_, "x", WaitingAllocations::kPause * 3);
  for (int i = 0; i < 4; ++i) {
    rig_.device.fail_allocate =
        Error(ErrorCode::kDeviceUnavailable, "in reset since " + std::to_string(i));
    if (i == 0) rig_.Run();
    if (i > 0) rig_.Advance(WaitingAllocations::kPause);
  }
  EXPECT_EQ(answers_, Words{"x DEVICE_UNAVAILABLE"});
  EXPECT_EQ(said_, "in reset since 2") << "the time was over before it was asked once more";
  EXPECT_EQ(rig_.observer.Count(EventKind::kRequestRefused), 1u);
  EXPECT_EQ(rig_.observer.Last(EventKind::kRequestRefused).text,
            "allocate of 4096 bytes on fake0: in reset since 2");
}

TEST_F(WaitingAllocation, IsNotOneThatTheDeviceRefusedForAnotherReason) {
  rig_.device.fail_allocate = Error(ErrorCode::kNoMemory, "full");
  Allocate(bob_, "x");
  rig_.Run();
  EXPECT_EQ(answers_, Words{"x NO_MEMORY"});
}

TEST_F(WaitingAllocation, IsOneOfFew) {
  BeginReset();
  for (std::size_t i = 0; i < WaitingAllocations::kPerSession; ++i) Allocate(bob_, "x");
  EXPECT_EQ(answers_, Words());
  Allocate(bob_, "y");
  EXPECT_EQ(answers_, Words{"y QUOTA_EXCEEDED"});
  Allocate(alice_, "z");
  EXPECT_EQ(answers_.size(), 1u) << "others have their own";
  bob_.Die();
}

TEST_F(WaitingAllocation, EndsWhenAnOperatorAsksBackWhatItsUserHas) {
  BeginReset();
  Allocate(bob_, "x");
  EXPECT_TRUE(rig_.broker
                  .RevokeHoldings({.kind = Whose::Kind::kUid, .id = 1001}, absl::Seconds(1),
                                  [](const RevocationReport&) {})
                  .ok());
  EXPECT_EQ(answers_, Words{"x REVOKED"});
}

TEST_F(WaitingAllocation, GoesOnOverASecondReset) {
  BeginReset();
  Allocate(bob_, "x");
  alice_.Release(held_);
  while (state() != kReady &&
         (rig_.device.Work() || rig_.device.WorkOnCount() || rig_.device.Deliver()))
    continue;
  ASSERT_EQ(state(), kReady);
  rig_.Reset(absl::Seconds(20));
  rig_.Run();
  EXPECT_EQ(answers_, Words{"x OK"});
  EXPECT_EQ(bob_.session().leases.at(0)->buffer->epoch, 3u);
}

class ChargedWaitingAllocation : public WaitingAllocation {
 protected:
  ChargedWaitingAllocation() : WaitingAllocation(OneLease()) {}
  static RigOptions OneLease() {
    RigOptions options;
    options.limits.domain[static_cast<std::size_t>(Resource::kLeases)] = 1;
    return options;
  }
};

TEST_F(ChargedWaitingAllocation, IsChargedAsALease) {
  BeginReset();
  Allocate(bob_, "x");
  Allocate(bob_, "y");
  EXPECT_EQ(answers_, Words{"y QUOTA_EXCEEDED"});
  EndReset();
  EXPECT_EQ(answers_.back(), "x OK");
}

}  // namespace
}  // namespace hlbuf
