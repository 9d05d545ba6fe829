// SPDX-License-Identifier: Apache-2.0
#include "tests/support/broker_rig.h"

#include <gtest/gtest.h>
#include <algorithm>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

// A device that outlives its broker.
class LentBackend final : public Backend {
 public:
  explicit LentBackend(FakeBackend& device) : device_(device) {}
  ~LentBackend() override { device_.LoseAsker(); }

  const BackendTraits& traits() const override { return device_.traits(); }
  std::uint64_t reserved_bytes() const override { return device_.reserved_bytes(); }
  void Open(Done<absl::Status> done) override { device_.Open(std::move(done)); }
  void Resume(Resumption from, Done<absl::StatusOr<Resumed>> done) override {
    device_.Resume(std::move(from), std::move(done));
  }
  void OnNote(NoteTaker take) override { device_.OnNote(std::move(take)); }
  void Allocate(AllocationSpec spec, Done<absl::StatusOr<Allocation>> done) override {
    device_.Allocate(std::move(spec), std::move(done));
  }
  void CountReferences(std::vector<int> fds, Done<std::vector<std::uint32_t>> done) override {
    device_.CountReferences(std::move(fds), std::move(done));
  }
  void Free(Allocation allocation, Done<absl::Status> done) override {
    device_.Free(std::move(allocation), std::move(done));
  }
  void FreeBlind(std::vector<std::uint64_t> windows, Done<std::vector<bool>> done) override {
    device_.FreeBlind(std::move(windows), std::move(done));
  }
  void CheckAlarm(Done<std::optional<hlbuf::Alarm>> done) override {
    device_.CheckAlarm(std::move(done));
  }
  void OnAlarmSign(absl::AnyInvocable<void()> sign) override {
    device_.OnAlarmSign(std::move(sign));
  }
  void Reset(Drill drill, Done<absl::Status> done) override {
    device_.Reset(drill, std::move(done));
  }

 private:
  FakeBackend& device_;
};

}  // namespace

Peer PeerOf(uid_t uid, std::string container) {
  return {.uid = uid,
          .gid = uid,
          .groups = {kClientsGid},
          .pid = static_cast<pid_t>(uid + 10'000),
          .container = std::move(container),
          .start_ticks = 1};
}

std::string CodeOf(const absl::Status& status) {
  return status.ok() ? "OK" : std::string(ErrorName(ErrorCodeOf(status)));
}

QuotaLimits NoLimits() {
  Amounts none;
  none.fill(kUnlimited);
  return {.service = none, .uid = none, .domain = none};
}

LeaseId FakeClient::Allocate(std::string name, std::uint64_t size_bytes) {
  absl::StatusOr<LeaseId> result;
  rig_.broker.Allocate(session(), {.size_bytes = size_bytes, .name = std::move(name)},
                       [&result](absl::StatusOr<LeaseId> lease) { result = std::move(lease); });
  rig_.Run();
  EXPECT_TRUE(result.ok()) << result.status();
  return result.value_or(LeaseId());
}

std::string FakeClient::TryAllocate(AllocateRequest request) {
  std::string code;
  rig_.broker.Allocate(session(), std::move(request),
                       [&code](const absl::StatusOr<LeaseId>& lease) { code = CodeOf(lease); });
  rig_.Run();
  return code;
}

absl::StatusOr<Grant> FakeClient::Open(BufferId buffer) {
  std::vector<absl::StatusOr<Grant>> results;
  if (absl::Status all = rig_.broker.Open(session(), {{.id = buffer}}, results); !all.ok())
    return all;
  return results.at(0);
}

absl::StatusOr<Grant> FakeClient::OpenByName(absl::string_view name, uid_t owner) {
  std::vector<absl::StatusOr<Grant>> results;
  if (absl::Status all = rig_.broker.Open(session(), {{.name = name, .owner_uid = owner}}, results);
      !all.ok())
    return all;
  return results.at(0);
}

void FakeClient::Release(LeaseId lease) { rig_.broker.Release(session(), {lease}); }

std::string FakeClient::Share(BufferId buffer, Grantee grantee) {
  return CodeOf(rig_.broker.Share(session(), buffer, grantee));
}

std::string FakeClient::Unshare(BufferId buffer, Grantee grantee) {
  return CodeOf(rig_.broker.Unshare(session(), buffer, grantee));
}

void FakeClient::Die() {
  SessionRecord& session = *std::exchange(record, nullptr);
  if (session.state != SessionState::kParked)
    rig_.broker.Park(session, SessionEvent::kPeerGone, "its process exited");
  rig_.broker.Forget(session);
}

absl::StatusOr<Reattached> FakeClient::Reattach(std::vector<LeaseId> leases,
                                                std::vector<std::uint64_t> unanswered) {
  absl::StatusOr<SessionRecord*> fresh = rig_.broker.Connect(peer, notices);
  if (!fresh.ok()) return fresh.status();
  absl::StatusOr<Reattached> back = rig_.broker.Reattach(
      **fresh, {.session = id, .secret = secret, .held = leases, .unanswered = unanswered});
  if (back.ok()) {
    record = back->session;
    return back;
  }
  rig_.broker.Park(**fresh, SessionEvent::kPeerGone, "refused");
  rig_.broker.Forget(**fresh);
  return back;
}

BrokerSettings BrokerRig::Settings() const {
  return {.limits = options_.limits,
          .enforcement = options_.enforcement,
          .first_id = 1 + lives_ * kIdsOfALife,
          .reattach_grace = options_.reattach_grace};
}

EpochPage& BrokerRig::Page() const {
  return options_.page != nullptr ? *options_.page : EpochPage::None();
}

Policy BrokerRig::Rules() const {
  return Policy(options_.rules, {.clients_gid = kClientsGid, .service_uid = kServiceUid});
}

BrokerRig::BrokerRig(RigOptions options)
    : options_(std::move(options)),
      broker(Settings(), Rules(), clock, observer, options_.witness,
             options_.recorder != nullptr ? *options_.recorder : recorder, Page()),
      device(AddDevice("fake0", options_.traits)) {
  Run();
}

void BrokerRig::Restart() { RestartWithout(""); }

void BrokerRig::RestartWithout(absl::string_view gone) {
  for (const auto& client : clients_) {
    if (client->record == nullptr) continue;
    client->held.clear();
    for (const LeaseRecord* lease : client->record->leases) client->held.push_back(lease->id);
    client->record = nullptr;
  }
  Kept kept = recorder.kept();
  EXPECT_EQ(Check(kept), absl::OkStatus());
  broker.Suspend();
  ++lives_;
  std::destroy_at(&broker);
  std::construct_at(&broker, Settings(), Rules(), clock, observer, options_.witness, recorder,
                    Page());
  std::vector<NewDevice> again;
  for (const auto& [name, backend] : owned_)
    if (name != gone) again.push_back({name, std::make_unique<LentBackend>(*backend)});
  broker.Restore(std::move(kept), std::move(again));
}

BrokerRig::~BrokerRig() { EXPECT_EQ(Empty(), ""); }

std::string BrokerRig::Empty() {
  for (const auto& client : clients_)
    if (client->record != nullptr) client->Die();
  for (FakeBackend* backend : devices) backend->LetGo();
  Advance(absl::Minutes(10));
  const Ledger& ledger = broker.ledger();
  std::string left;
  const auto expect = [&left](bool good, absl::string_view otherwise) {
    if (!good) absl::StrAppend(&left, otherwise, "; ");
  };
  expect(ledger.sessions.empty(), "sessions");
  expect(ledger.leases.empty(), "leases");
  expect(ledger.registry.size() == 0 && ledger.registry.in_order().empty(), "buffers");
  expect(ledger.accounts.size() == 0, "accounts");
  expect(ledger.accounts.service().idle(), "charges");
  // Who is asked for alarms is asked for ever.
  const bool asks = std::any_of(broker.devices().begin(), broker.devices().end(),
                                [](const auto& each) { return each->traits().raises_alarms; });
  expect(asks || broker.NextDeadline() == absl::InfiniteFuture(), "deadlines");
  for (const auto& each : broker.devices()) {
    expect(each->used_bytes() == 0, "used bytes");
    expect(each->draining_bytes() == 0, "draining bytes");
  }
  for (FakeBackend* backend : devices) {
    expect(backend->allocated() == 0, "allocations");
    for (const std::string& violation : backend->violations) expect(false, violation);
  }
  return left;
}

FakeBackend& BrokerRig::AddDevice(std::string name, BackendTraits traits) {
  owned_.emplace_back(name, std::make_unique<FakeBackend>(std::move(traits)));
  devices.push_back(owned_.back().second.get());
  broker.AddDevice(std::move(name), std::make_unique<LentBackend>(*devices.back()));
  return *devices.back();
}

FakeClient& BrokerRig::Connect(Peer peer) {
  FakeClient* client = TryConnect(std::move(peer));
  EXPECT_NE(client, nullptr);
  return *client;
}

FakeClient* BrokerRig::TryConnect(Peer peer) {
  auto client = std::make_unique<FakeClient>(*this);
  const absl::StatusOr<SessionRecord*> record = broker.Connect(std::move(peer), client->notices);
  if (!record.ok()) return nullptr;
  client->record = *record;
  client->peer = (*record)->peer;
  client->id = (*record)->id;
  client->secret.bytes.fill(static_cast<std::uint8_t>(client->id.value | 1));
  (*record)->secret = client->secret;
  EXPECT_TRUE(broker.Greet(client->session(), "test").ok());
  return clients_.emplace_back(std::move(client)).get();
}

void BrokerRig::Run() {
  for (bool more = true; more;) {
    more = false;
    for (FakeBackend* backend : devices) {
      more = more || !backend->idle();
      backend->Run();
    }
  }
}

void BrokerRig::Advance(absl::Duration by) {
  const absl::Time end = clock.Now() + by;
  Run();
  while (broker.NextDeadline() <= end) {
    clock.AdvanceTo(broker.NextDeadline());
    broker.RunDeadlines();
    Run();
  }
  clock.AdvanceTo(end);
}

BufferId BrokerRig::Buffer(FakeClient& owner, std::string name) {
  return Find(owner.Allocate(std::move(name)))->buffer->id;
}

void BrokerRig::Hold(BufferId buffer, std::uint32_t references) {
  const BufferRecord& record = *Find(buffer);
  for (const auto& [name, backend] : owned_)
    if (name == record.device->name()) backend->set_others(record.allocation.inode, references);
}

std::string BrokerRig::Revoke(std::vector<BufferId> buffers, absl::Duration grace) {
  return CodeOf(broker.RevokeBuffers(
      buffers, grace, [this](const RevocationReport& report) { reports.push_back(report); }));
}

std::string BrokerRig::Reset(absl::Duration grace, Drill drill) {
  return CodeOf(broker.SimulateReset(
      "fake0", drill, grace, [this](const ResetReport& report) { resets.push_back(report); }));
}

std::string BrokerRig::Drain(DrainRequest request) {
  return CodeOf(broker.DrainDevice("fake0", std::move(request), [this] { ++drains_ended; }));
}

}  // namespace hlbuf
