// SPDX-License-Identifier: Apache-2.0
#include "tests/model/history.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"

namespace hlbuf::model {
namespace {

constexpr std::array kNames = {"", "", "x", "y"};
constexpr std::array kDevices = {"fake0", "fake1", "fake2"};

// Small enough that histories run into them.
QuotaLimits TightLimits() {
  return {.service = {20 * kPage, 16, 30, 12, 12},
          .uid = {14 * kPage, 11, 22, 6, 9},
          .domain = {10 * kPage, 8, 16, 4, 7}};
}

Peer SomePeer(std::uint32_t n) {
  Peer in_group = PeerOf(1001);
  in_group.groups = {60, kClientsGid};
  Peer outsider = PeerOf(1002);
  outsider.groups = {60};
  Peer invisible = PeerOf(1000);
  invisible.pid = 0;
  const std::array peers = {PeerOf(1000), PeerOf(1000), PeerOf(1001),  PeerOf(1001),
                            PeerOf(1000), PeerOf(1001), in_group,      PeerOf(1000, "pod"),
                            in_group,     outsider,     PeerOf(65534), invisible};
  return peers[n % peers.size()];
}

Grantee SomeGrantee(std::uint32_t n) {
  using enum Grantee::Kind;
  constexpr std::array<Grantee, 4> kGrantees = {Grantee{kUid, 1001}, Grantee{kGid, 60},
                                                Grantee{kUid, 1000}, Grantee{kGid, 65534}};
  return kGrantees[n % kGrantees.size()];
}

absl::Duration SomeTime(std::uint32_t n) {
  const std::array times = {absl::ZeroDuration(),  absl::Milliseconds(1),   absl::Milliseconds(30),
                            absl::Milliseconds(1), absl::Milliseconds(700), absl::Seconds(2),
                            absl::Seconds(6),      absl::Seconds(15)};
  return times[n % times.size()];
}

}  // namespace

History::History(bool alarms)
    : model_(TightLimits(), FakeClock().Now()), rig_({.limits = TightLimits()}) {
  model_.devices["fake0"] = {.counts = true, .state = DeviceState::kReady, .jobs = {}};
  BackendTraits traits = FakeBackend::DefaultTraits();
  traits.counts_references = false;
  rig_.AddDevice("fake1", traits);
  model_.devices["fake1"] = {};
  BackendTraits card = FakeBackend::DefaultTraits();
  card.survives_reset = false;
  card.raises_alarms = alarms;
  rig_.AddDevice("fake2", card);
  model_.devices["fake2"] = {.counts = true, .survives = false, .alarms = alarms};
}

void History::Expect(const std::string& expected, const std::string& got, const std::string& what) {
  Log(absl::StrCat(what, ": ", got));
  if (expected != got && wrong_.empty())
    wrong_ = absl::StrCat(what, " was answered ", got, " instead of ", expected);
}

FakeClient* History::Client(std::uint32_t n, bool parked) {
  std::vector<FakeClient*> found;
  for (const auto& [id, client] : clients_)
    if (model_.sessions.at(id).parked == parked) found.push_back(client);
  return found.empty() ? nullptr : found[n % found.size()];
}

// Most often one that is there, of those rather a new one; else one that was, or never was.
BufferId History::SomeBuffer(std::uint32_t n) const {
  if (n % 8 != 7 && !model_.buffers.empty()) {
    const std::size_t back = 1 + n / 8 % model_.buffers.size();
    return std::prev(model_.buffers.end(), static_cast<std::ptrdiff_t>(back))->first;
  }
  return buffers_.empty() || n == 7 ? BufferId{999'999} : buffers_[n / 8 % buffers_.size()];
}

// A descriptor reached a client: from now on the kernel counts it.
void History::Received(BufferId buffer) {
  const ino_t inode = model_.buffers.at(buffer).inode;
  FakeBackend& device = DeviceOf(buffer);
  device.set_others(inode, device.others(inode) + 1);
}

std::string History::Apply(Step step) {
  // How often each of them happens, in 64ths.
  using Happening = void (History::*)(Step);
  constexpr std::array<std::pair<std::uint32_t, Happening>, 19> kHappenings = {{
      {3, &History::Connect},
      {9, &History::Allocate},
      {8, &History::Open},
      {4, &History::Receive},
      {2, &History::PutInFlight},
      {1, &History::TakeIn},
      {5, &History::Release},
      {4, &History::Share},
      {1, &History::Park},
      {1, &History::Forget},
      {2, &History::Revoke},
      {1, &History::Reset},
      {4, &History::LetTimePass},
      {2, &History::HoldMore},
      {3, &History::HoldLess},
      {1, &History::Fail},
      {1, &History::Alarm},
      {1, &History::Restart},
      {11, &History::LetADeviceGoOn},
  }};
  model_.NextStep();
  std::uint32_t what = step.what();
  std::size_t which = 0;
  while (what >= kHappenings[which].first) what -= kHappenings[which++].first;
  (this->*kHappenings[which].second)(step);
  ReturnGivenUp();
  CheckVerdicts();
  CheckReports();
  CheckNotices();
  if (wrong_.empty()) wrong_ = model_.Differs(rig_.broker);
  for (const FakeBackend* device : rig_.devices)
    if (wrong_.empty() && !device->violations.empty()) wrong_ = device->violations.front();
  return wrong_;
}

void History::Connect(Step step) {
  const Peer peer = SomePeer(step.a());
  const std::string expected = model_.JudgeConnect(peer);
  FakeClient* client = rig_.TryConnect(peer);
  Expect(expected, client == nullptr ? "QUOTA_EXCEEDED" : "OK",
         absl::StrCat(peer.domain().Text(), " connects"));
  if (client == nullptr) return;
  clients_[client->session().id] = client;
  model_.sessions[client->session().id] = {.peer = peer};
}

void History::Allocate(Step step) {
  FakeClient* client = Client(step.a(), false);
  if (client == nullptr) return;
  const SessionId session = client->session().id;
  const AllocateRequest request = {.size_bytes = (step.b() / 4 % 8) * kPage / 2,
                                   .name = kNames[step.b() % 4],
                                   .device = kDevices[step.c() % kDevices.size()]};
  const std::string expected = model_.JudgeAllocate(session, request);
  answered_.reset();
  rig_.broker.Allocate(client->session(), request,
                       [this](absl::StatusOr<LeaseId> lease) { answered_ = std::move(lease); });
  Expect(expected, answered_ ? CodeOf(*answered_) : "OK",
         absl::StrCat(IdText(session), " allocates ", request.size_bytes, " '", request.name,
                      "' on ", request.device));
  if (answered_) return;
  const BufferId id = rig_.broker.ledger().registry.in_order().rbegin()->first;
  buffers_.push_back(id);
  model_.BeginAllocate(id, session, request);
}

void History::LetADeviceGoOn(Step step) {
  const std::size_t which = step.b() % kDevices.size();
  FakeBackend& device = *rig_.devices[which];
  for (std::uint32_t i = 0; i < step.a() % 4; ++i) device.Work();
  for (std::uint32_t i = 0; i < step.a() / 4 % 2; ++i) device.WorkOnCount();
  for (std::uint32_t i = 0; i < step.c() % 4; ++i) Deliver(device, kDevices[which]);
}

void History::Deliver(FakeBackend& device, const std::string& name) {
  answered_.reset();
  if (!device.Deliver()) return;
  std::optional<LeaseId> lease;
  if (answered_ && answered_->ok()) lease = **answered_;
  const std::string expected = model_.Delivered(name, device.delivered, lease);
  std::string did = absl::StrCat(name, " did ", device.delivered.call);
  for (const auto& [inode, count] : device.delivered.counts)
    absl::StrAppend(&did, " ", inode, ":", count);
  Expect(expected, answered_ ? CodeOf(*answered_) : "", did);
  if (lease) leases_.push_back(*lease);
  ReturnGivenUp();
}

void History::ReturnGivenUp() {
  model_.ReturnGivenUp([this](const std::string& device, ino_t inode) {
    return DeviceNamed(device).counting(inode);
  });
}

void History::Open(Step step) {
  FakeClient* client = Client(step.a(), false);
  if (client == nullptr) return;
  const SessionId session = client->session().id;
  std::vector<OpenItem> items;
  const bool by_name = step.c() % 8 == 0;
  for (std::uint32_t i = 0; i <= (step.c() / 4) % 3; ++i) {
    const uid_t owner = step.c() % 16 == 0 ? static_cast<uid_t>(-1) : 1000;
    if (by_name)
      items.push_back({.name = step.b() % 2 == 0 ? "x" : "y", .owner_uid = owner});
    else
      items.push_back({.id = SomeBuffer(step.b() + 8 * i)});
  }
  const bool allowed = model_.LeasesAllowed(session, items.size());
  std::vector<absl::StatusOr<Grant>> results;
  const absl::Status all = rig_.broker.Open(client->session(), items, results);
  Expect(allowed ? "OK" : "QUOTA_EXCEEDED", CodeOf(all),
         absl::StrCat(IdText(session), " opens ", items.size()));
  for (std::size_t i = 0; i < results.size(); ++i) {
    Expect(model_.JudgeOpen(session, items[i]), CodeOf(results[i]), "  one of them");
    if (!results[i].ok() || !wrong_.empty()) continue;
    const Grant& grant = *results[i];
    if (model_.Resolve(session, items[i]) != grant.buffer) wrong_ = "another buffer was opened";
    leases_.push_back(grant.lease);
    model_.Grant(grant.lease, session, grant.buffer);
    // Else it is sent later, or never.
    if (step.c() % 3 != 0) Received(grant.buffer);
  }
}

void History::Receive(Step step) {
  if (leases_.empty()) return;
  const LeaseId id =
      leases_[leases_.size() - 1 - step.a() % std::min<std::size_t>(8, leases_.size())];
  const auto lease = model_.leases.find(id);
  const bool active = lease != model_.leases.end() && lease->second.state == LeaseState::kActive;
  const absl::StatusOr<Grant> grant = rig_.broker.GrantOf(id);
  Expect(active ? "OK" : "REVOKED", CodeOf(grant), "lease " + IdText(id) + " is received");
  if (grant.ok()) Received(grant->buffer);
}

// A message with descriptors is sent to a client that has taken the last one.
void History::PutInFlight(Step step) {
  FakeClient* client = Client(step.a(), false);
  if (client == nullptr || model_.sessions.at(client->session().id).in_flight > 0) return;
  const std::uint64_t fds = 1 + step.b() % 5;
  Expect(model_.TakeInFlight(client->session().id, fds),
         CodeOf(rig_.broker.TakeInFlight(client->session(), fds)),
         absl::StrCat(IdText(client->session().id), " is sent ", fds, " descriptors"));
}

// A client, or the kernel in its place, has taken what it was sent.
void History::TakeIn(Step step) {
  FakeClient* client = Client(step.a(), step.b() % 4 == 0);
  if (client == nullptr) return;
  Log(absl::StrCat(IdText(client->session().id), " has nothing in flight"));
  rig_.broker.GiveBackInFlight(client->session());
  model_.sessions.at(client->session().id).in_flight = 0;
}

void History::Release(Step step) {
  FakeClient* client = Client(step.a(), false);
  if (client == nullptr || leases_.empty()) return;
  LeaseId lease = leases_[step.b() % leases_.size()];
  const auto& own = client->session().leases;
  if (step.c() % 4 != 0 && !own.empty()) lease = own[step.b() % own.size()]->id;
  Log(absl::StrCat(IdText(client->session().id), " releases ", IdText(lease)));
  client->Release(lease);
  model_.Release(client->session().id, lease);
}

void History::Share(Step step) {
  FakeClient* client = Client(step.a(), false);
  if (client == nullptr) return;
  const SessionId session = client->session().id;
  const BufferId buffer = SomeBuffer(step.b());
  const Grantee grantee = SomeGrantee(step.c() / 2);
  const std::string what =
      absl::StrCat(IdText(session), step.c() % 2 == 0 ? " shares " : " unshares ", IdText(buffer),
                   " with ", grantee.id);
  if (step.c() % 2 == 0)
    Expect(model_.Share(session, buffer, grantee), client->Share(buffer, grantee), what);
  else
    Expect(model_.Unshare(session, buffer, grantee,
                          rig_.clock.Now() + rig_.broker.settings().operator_grace),
           client->Unshare(buffer, grantee), what);
}

void History::Park(Step step) {
  FakeClient* client = Client(step.a(), false);
  if (client == nullptr || step.c() % 2 != 0) return;
  Log(absl::StrCat(IdText(client->session().id), " is parked"));
  rig_.broker.Park(client->session(),
                   step.b() % 2 == 0 ? SessionEvent::kPeerGone : SessionEvent::kViolation, "test");
  model_.Park(client->session().id);
}

void History::Forget(Step step) {
  FakeClient* client = Client(step.a(), true);
  if (client == nullptr) return;
  const SessionId session = client->session().id;
  Log(absl::StrCat(IdText(session), " is forgotten"));
  client->Die();
  clients_.erase(session);
  model_.sessions.erase(session);
}

void History::Revoke(Step step) {
  std::set<BufferId> asked;
  for (std::uint32_t i = 0; i < step.c() % 4; ++i) asked.insert(SomeBuffer(step.b() + 8 * i));
  std::vector<BufferId> twice(asked.begin(), asked.end());
  if (!twice.empty()) twice.push_back(twice.front());
  const absl::Duration grace = SomeTime(step.a());
  const std::string expected = model_.JudgeRevoke(asked);
  const absl::StatusOr<RevocationId> began = rig_.broker.RevokeBuffers(
      twice, grace, [this](const RevocationReport& report) { rig_.reports.push_back(report); });
  Expect(expected, CodeOf(began), absl::StrCat("an operator revokes ", asked.size()));
  if (!began.ok() || !wrong_.empty()) return;
  ++revocations_begun_;
  model_.BeginRevoke(*began, asked, rig_.clock.Now() + grace);
}

void History::Reset(Step step) {
  if (step.c() % 2 != 0) return;  // rarer than one step in 64: most of a life is without
  const std::string device = kDevices[step.b() % kDevices.size()];
  const absl::Duration grace = SomeTime(step.a());
  const Drill drill = step.c() % 8 == 0 ? Drill::kFails : Drill::kNone;
  const std::string expected = model_.Reset(device, rig_.clock.Now() + grace);
  const absl::Status began = rig_.broker.SimulateReset(
      device, drill, grace,
      [this, device](const ResetReport& report) { resets_.emplace_back(device, report); });
  Expect(expected, CodeOf(began), absl::StrCat("a reset of ", device));
  if (began.ok()) ++resets_begun_;
}

void History::LetTimePass(Step step) {
  const absl::Duration by = SomeTime(step.a());
  Log(absl::StrCat(absl::FormatDuration(by), " pass"));
  rig_.clock.Advance(by);
  rig_.broker.RunDeadlines();
  model_.TimeIs(rig_.clock.Now());
}

// Who holds a descriptor can duplicate it, map it, give it on. Nobody can conjure one up.
void History::HoldMore(Step step) {
  const BufferId buffer = SomeBuffer(step.a());
  if (!model_.buffers.contains(buffer)) return;
  const ino_t inode = model_.buffers.at(buffer).inode;
  if (DeviceOf(buffer).others(inode) == 0) return;
  Log(absl::StrCat("one reference more to ", IdText(buffer)));
  Received(buffer);
}

void History::HoldLess(Step step) {
  const BufferId buffer = SomeBuffer(step.a());
  if (!model_.buffers.contains(buffer)) return;
  const ino_t inode = model_.buffers.at(buffer).inode;
  FakeBackend& device = DeviceOf(buffer);
  const std::uint32_t others = device.others(inode);
  if (others == 0) return;
  Log(absl::StrCat("fewer references to ", IdText(buffer)));
  device.set_others(inode, step.b() % 2 == 0 ? 0 : others - 1);
}

void History::Fail(Step step) {
  FakeBackend& device = *rig_.devices[step.b() % kDevices.size()];
  const absl::Status broken = Error(ErrorCode::kDeviceError, "broken");
  switch (step.a() % 8) {
    case 0:
      device.fail_open = broken;
      break;
    case 1:
      device.fail_allocate = Error(ErrorCode::kNoMemory, "full");
      break;
    case 2:
      device.fail_free = broken;
      break;
    case 3:
      device.fail_reset = broken;
      break;
    default:
      device.unreadable = step.a() % 8 == 4;
  }
}

// The card has something to say when it is asked next.
void History::Alarm(Step step) {
  using enum hlbuf::Alarm::Kind;
  const std::array kinds = {kResetPending, kResetPending, kReset, kDisabled};
  DeviceNamed("fake2").alarm = {
      .kind = kinds[step.a() % kinds.size()], .window = SomeTime(step.b()), .text = "it says so"};
  Log("fake2 has an alarm");
}

}  // namespace hlbuf::model
