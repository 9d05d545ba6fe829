// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "daemon/core/error.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

const Domain kAlice = {.uid = 1000, .container = ""};

std::uint64_t Used(const BrokerRig& rig, Resource resource) {
  return rig.broker.ledger().accounts.service().used(resource);
}
QuotaLimits DomainLimit(Resource resource, std::uint64_t limit) {
  QuotaLimits limits = NoLimits();
  limits.domain[static_cast<std::size_t>(resource)] = limit;
  return limits;
}

TEST(Allocate, GivesALiveBufferAndItsFirstLease) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate("weights");
  const BufferRecord& buffer = *rig.Find(lease)->buffer;
  EXPECT_EQ(buffer.state, BufferState::kLive);
  EXPECT_EQ(buffer.name, "weights");
  EXPECT_EQ(buffer.epoch, 1u);
  EXPECT_EQ(buffer.owner->domain, kAlice);
  EXPECT_EQ(buffer.leases.size(), 1u);
  EXPECT_EQ(rig.Find(lease)->state, LeaseState::kActive);
  EXPECT_EQ(rig.observer.Count(EventKind::kBufferAllocated), 1u);
}

TEST(Allocate, RoundsUpToThePagesOfTheDevice) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  alice.Allocate("", 1);
  alice.Allocate("", kPage + 1);
  EXPECT_EQ(rig.device.calls, (std::vector<std::string>{"open", "allocate 4096", "allocate 8192"}));
  EXPECT_EQ(Used(rig, Resource::kBytes), 3 * kPage);
  EXPECT_EQ(rig.broker.FindDevice("fake0")->used_bytes(), 3 * kPage);
}

TEST(Allocate, ChargesTheOwnerFromTheBeginning) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.broker.Allocate(alice.session(), {.size_bytes = kPage},
                      [](const absl::StatusOr<LeaseId>& lease) { EXPECT_TRUE(lease.ok()); });
  for (const Resource each : {Resource::kBuffers, Resource::kLeases, Resource::kSessions})
    EXPECT_EQ(Used(rig, each), 1u) << ResourceText(each);
  EXPECT_EQ(Used(rig, Resource::kBytes), kPage);
  rig.Run();
  EXPECT_EQ(Used(rig, Resource::kLeases), 1u);
  EXPECT_EQ(Used(rig, Resource::kBytes), kPage);
}

TEST(Allocate, RefusesSizesThatTheDeviceCannotHave) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 0}), "INVALID_ARGUMENT");
  EXPECT_EQ(alice.TryAllocate({.size_bytes = (1 << 30) + 1}), "INVALID_ARGUMENT");
  EXPECT_EQ(alice.TryAllocate({.size_bytes = UINT64_MAX}), "INVALID_ARGUMENT");
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1 << 30}), "OK");
}

TEST(Allocate, RefusesTextsThatAreNoNamesOrLabels) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .name = "two words"}), "INVALID_ARGUMENT");
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .device = "dev\n"}), "INVALID_ARGUMENT");
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .labels = {"nothing"}}), "INVALID_ARGUMENT");
}

TEST(Allocate, KeepsLabels) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .labels = {"job=7", "team=vision"}}), "OK");
  EXPECT_EQ(alice.session().leases.at(0)->buffer->labels,
            (std::vector<std::string>{"job=7", "team=vision"}));
}

TEST(Allocate, GivesANameOnceInADomain) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& pod = rig.Connect(PeerOf(1000, "pod"));
  alice.Allocate("x");
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .name = "x"}), "ALREADY_EXISTS");
  EXPECT_EQ(rig.Connect(PeerOf(1000)).TryAllocate({.size_bytes = 1, .name = "x"}),
            "ALREADY_EXISTS");
  EXPECT_EQ(pod.TryAllocate({.size_bytes = 1, .name = "x"}), "OK");
}

TEST(Allocate, TakesANameAlreadyWhileTheDeviceWorks) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  std::string first;
  rig.broker.Allocate(alice.session(), {.size_bytes = 1, .name = "x"},
                      [&first](const absl::StatusOr<LeaseId>& lease) { first = CodeOf(lease); });
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .name = "x"}), "ALREADY_EXISTS");
  EXPECT_EQ(first, "OK");
}

TEST(Allocate, CanHaveANameAgainWhenItsBufferDrains) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate("x");
  rig.Hold(rig.Find(lease)->buffer->id, 1);
  alice.Release(lease);
  rig.Run();
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .name = "x"}), "OK");
  EXPECT_EQ(rig.broker.ledger().registry.size(), 2u);
}

TEST(Allocate, UsesTheFirstDeviceUnlessOneIsNamed) {
  BrokerRig rig;
  FakeBackend& second = rig.AddDevice("fake1", FakeBackend::DefaultTraits());
  rig.Run();
  FakeClient& alice = rig.Connect(PeerOf(1000));
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1}), "OK");
  EXPECT_EQ(second.allocated(), 0u);
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .device = "fake1"}), "OK");
  EXPECT_EQ(second.allocated(), 1u);
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .device = "fake2"}), "NOT_FOUND");
}

TEST(Allocate, UsesTheDeviceThatTheAdministratorChose) {
  FakeClock clock;
  FakeObserver observer;
  Broker broker({.limits = NoLimits(), .default_device = "b"}, Policy({}, {}), clock, observer);
  EXPECT_EQ(broker.default_device(), nullptr);
  broker.AddDevice("a", std::make_unique<FakeBackend>());
  EXPECT_EQ(broker.default_device(), nullptr);
  const Device& chosen = broker.AddDevice("b", std::make_unique<FakeBackend>());
  EXPECT_EQ(broker.default_device(), &chosen);
}

TEST(Allocate, SaysThatThereIsNoDeviceAtAll) {
  FakeClock clock;
  FakeObserver observer;
  FakeNotices notices;
  Broker broker({.limits = NoLimits()}, Policy({}, {}), clock, observer);
  SessionRecord& session = **broker.Connect(PeerOf(1000), notices);
  absl::Status refused;
  broker.Allocate(session, {.size_bytes = 1},
                  [&refused](const absl::StatusOr<LeaseId>& lease) { refused = lease.status(); });
  EXPECT_EQ(CodeOf(refused), "NOT_FOUND");
  EXPECT_EQ(refused.message(),
            "there is no device to allocate on; the administrator configures one");
}

TEST(Allocate, IsRefusedByPolicyWithTheRulesName) {
  BrokerRig rig({.rules = {{.name = "not-today", .allow = false, .uids = {1000}}}});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1}), "PERMISSION_DENIED");
  EXPECT_EQ(rig.observer.Last(EventKind::kRequestRefused).text,
            "rule 'not-today' refuses uid 1000 to allocate on fake0; the administrator's "
            "[[rule]]s decide");
}

TEST(Allocate, IsRefusedToNobody) {
  BrokerRig rig;
  Peer unmapped = PeerOf(65534);
  Peer invisible = PeerOf(1000);
  invisible.pid = 0;
  EXPECT_EQ(rig.Connect(unmapped).TryAllocate({.size_bytes = 1}), "PERMISSION_DENIED");
  EXPECT_EQ(rig.Connect(invisible).TryAllocate({.size_bytes = 1}), "PERMISSION_DENIED");
}

// Each of the three things that an allocation takes.
TEST(Allocate, StopsAtEachLimitAndThenTakesNothing) {
  for (const Resource each : {Resource::kBytes, Resource::kBuffers, Resource::kLeases}) {
    SCOPED_TRACE(ResourceText(each));
    BrokerRig rig({.limits = DomainLimit(each, each == Resource::kBytes ? kPage : 1)});
    FakeClient& alice = rig.Connect(PeerOf(1000));
    alice.Allocate();
    EXPECT_EQ(alice.TryAllocate({.size_bytes = 1}), "QUOTA_EXCEEDED");
    EXPECT_EQ(rig.observer.Count(EventKind::kRequestRefused), 1u);
    EXPECT_EQ(Used(rig, Resource::kBytes), kPage);
    EXPECT_EQ(Used(rig, Resource::kBuffers), 1u);
    EXPECT_EQ(Used(rig, Resource::kLeases), 1u);
    EXPECT_EQ(rig.device.allocated(), 1u) << "the device is not asked for what cannot be granted";
  }
}

TEST(Allocate, WaitsForNobodyWhileTheDeviceOpens) {
  BrokerRig rig;
  rig.AddDevice("fake1", FakeBackend::DefaultTraits());
  FakeClient& alice = rig.Connect(PeerOf(1000));
  absl::Status refused;
  rig.broker.Allocate(
      alice.session(), {.size_bytes = 1, .device = "fake1"},
      [&refused](const absl::StatusOr<LeaseId>& lease) { refused = lease.status(); });
  EXPECT_EQ(CodeOf(refused), "DEVICE_UNAVAILABLE");
  EXPECT_EQ(refused.message(), "fake1 is OPENING; a DEVICE notice tells when it is READY");
}

TEST(Allocate, SaysWhyTheDeviceFailed) {
  BrokerRig rig;
  rig.AddDevice("fake1", FakeBackend::DefaultTraits()).fail_open =
      Error(ErrorCode::kDeviceError, "it is on fire");
  rig.Run();
  FakeClient& alice = rig.Connect(PeerOf(1000));
  absl::Status refused;
  rig.broker.Allocate(
      alice.session(), {.size_bytes = 1, .device = "fake1"},
      [&refused](const absl::StatusOr<LeaseId>& lease) { refused = lease.status(); });
  EXPECT_EQ(
      refused.message(),
      "fake1 is FAILED: it is on fire; opening it is tried again 1s after this failure; a DEVICE "
      "notice tells when it is READY");
}

TEST(Allocate, TellsTheOperatorAsWellWhyTheDeviceRefused) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.device.fail_allocate = Error(ErrorCode::kDeviceError, "it is on fire");
  EXPECT_EQ(alice.TryAllocate({.size_bytes = kPage + 1}), "DEVICE_ERROR");
  const Event told = rig.observer.Last(EventKind::kRequestRefused);
  EXPECT_EQ(told.text, "allocate of 8192 bytes on fake0: it is on fire");
  EXPECT_EQ(told.device, "fake0");
  EXPECT_EQ(told.session, alice.session().id);
  EXPECT_EQ(told.domain.uid, 1000u);
}

TEST(Allocate, LeavesNoTraceWhenTheDeviceHasNoRoom) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.device.fail_allocate = Error(ErrorCode::kNoMemory, "full");
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .name = "x"}), "NO_MEMORY");
  EXPECT_EQ(rig.broker.ledger().registry.size(), 0u);
  EXPECT_EQ(Used(rig, Resource::kBytes), 0u);
  EXPECT_EQ(rig.broker.FindDevice("fake0")->used_bytes(), 0u);
  EXPECT_EQ(rig.observer.Count(EventKind::kBufferAllocated), 0u);
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .name = "x"}), "OK");
}

}  // namespace
}  // namespace hlbuf
