// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_BROKER_RIG_H_
#define HLBUF_TESTS_SUPPORT_BROKER_RIG_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/core/broker.h"
#include "tests/support/fake_backend.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_notices.h"
#include "tests/support/fake_observer.h"
#include "tests/support/kept_recorder.h"

namespace hlbuf {

inline constexpr gid_t kClientsGid = 900;
inline constexpr uid_t kServiceUid = 800;
inline constexpr std::uint64_t kPage = 4096;

// A member of the clients' group.
Peer PeerOf(uid_t uid, std::string container = "");
// "OK", or the published name of the error.
std::string CodeOf(const absl::Status& status);
template <class T>
std::string CodeOf(const absl::StatusOr<T>& result) {
  return CodeOf(result.status());
}
QuotaLimits NoLimits();

class BrokerRig;

// A client as the session layer shows it to the broker. Requests that cannot fail in a test say so
// by what they return; the others return a status or a CodeOf().
class FakeClient {
 public:
  explicit FakeClient(BrokerRig& rig) : rig_(rig) {}

  SessionRecord& session() { return *record; }
  LeaseId Allocate(std::string name = "", std::uint64_t size_bytes = kPage);
  std::string TryAllocate(AllocateRequest request);
  absl::StatusOr<Grant> Open(BufferId buffer);
  absl::StatusOr<Grant> OpenByName(absl::string_view name, uid_t owner = static_cast<uid_t>(-1));
  void Release(LeaseId lease);
  std::string Share(BufferId buffer, Grantee grantee);
  std::string Unshare(BufferId buffer, Grantee grantee);
  void Die();  // and everything that was sent to it was taken
  // After a restart: connects and asks for its session, which it holds `leases` of. All that it
  // had, if none are named.
  absl::StatusOr<Reattached> Reattach() { return Reattach(held); }
  absl::StatusOr<Reattached> Reattach(std::vector<LeaseId> leases,
                                      std::vector<std::uint64_t> unanswered = {});

  FakeNotices notices;
  SessionRecord* record = nullptr;  // null once it died, and until it came back
  // What it knows of its session when the service ends.
  Peer peer;
  SessionId id;
  SessionSecret secret;
  std::vector<LeaseId> held;

 private:
  BrokerRig& rig_;
};

struct RigOptions {
  BackendTraits traits = FakeBackend::DefaultTraits();
  QuotaLimits limits = NoLimits();
  std::vector<Rule> rules;
  EnforcementSettings enforcement = {};
  Witness* witness = nullptr;  // outlives the rig
  absl::Duration reattach_grace = absl::Seconds(60);
  Recorder* recorder = nullptr;  // outlives the rig; null: the rig's own
  EpochPage* page = nullptr;     // outlives the rig; null: none
};

// A broker with the device "fake0", a clock and clients that a test moves by hand.
//
// The destructor expects an empty house after Empty().
class BrokerRig {
 public:
  explicit BrokerRig(RigOptions options = RigOptions());
  ~BrokerRig();

  FakeClient& Connect(Peer peer);     // and says HELLO
  FakeClient* TryConnect(Peer peer);  // likewise; null when the limits refuse it
  FakeBackend& AddDevice(std::string name, BackendTraits traits);

  // The service's process ends at this instant, and a new one goes on from what was recorded. With
  // its devices, which have not answered then.
  void Restart();
  // Without those of this name.
  void RestartWithout(absl::string_view device);

  // Lets all devices do and answer what they were asked.
  void Run();
  // Lets time pass, with everything that becomes due, and Run() after each.
  void Advance(absl::Duration by);

  // A new buffer of `owner`, who holds it by the lease that came with it.
  BufferId Buffer(FakeClient& owner, std::string name = "");
  BufferRecord* Find(BufferId buffer) { return broker.ledger().registry.Find(buffer); }
  const LeaseRecord* Find(LeaseId lease) const { return broker.ledger().FindLease(lease); }
  // Others' references to a buffer, as the kernel counts them from now on.
  void Hold(BufferId buffer, std::uint32_t references);

  // Ends what the test left: clients die, everybody lets go, time passes. Empty, or what is still
  // there though nothing should be: a buffer, a lease, a charge, an allocation, a deadline, or
  // something that a device had to complain about.
  std::string Empty();

  // As an operator; what became of it is in `reports` and `resets`.
  std::string Revoke(std::vector<BufferId> buffers, absl::Duration grace = absl::Seconds(10));
  std::string Reset(absl::Duration grace = absl::Seconds(20), Drill drill = Drill::kNone);
  // Counts in `drains_ended` those that are over.
  std::string Drain(DrainRequest request = {.by = "uid 0"});
  std::string Undrain() { return CodeOf(broker.UndrainDevice("fake0")); }

  FakeClock clock;
  FakeObserver observer;
  KeptRecorder recorder;
  std::vector<FakeBackend*> devices;

 private:
  static constexpr std::uint64_t kIdsOfALife = 1'000'000;
  const RigOptions options_;
  std::uint64_t lives_ = 0;  // of the service, before this one
  std::vector<std::pair<std::string, std::unique_ptr<FakeBackend>>> owned_;

 public:
  Broker broker;
  FakeBackend& device;  // fake0
  std::vector<RevocationReport> reports;
  std::vector<ResetReport> resets;
  int drains_ended = 0;

 private:
  BrokerSettings Settings() const;
  EpochPage& Page() const;
  Policy Rules() const;
  std::vector<std::unique_ptr<FakeClient>> clients_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_BROKER_RIG_H_
