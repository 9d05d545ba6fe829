// SPDX-License-Identifier: Apache-2.0
#include "tests/support/control_client.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/core/ids.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "hlbuf/v1/control.grpc.pb.h"
#include "tests/support/child.h"

namespace hlbuf {
namespace {

constexpr int kPageSize = 1000;

// A deadline for what takes `ms` at the most when all is well.
std::unique_ptr<grpc::ClientContext> Within(int ms) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() +
                        std::chrono::milliseconds(ms + kPatienceMs));
  return context;
}

// "REASON: words", as ErrorInfo and the status say it.
std::string ErrorOf(const grpc::Status& status) {
  if (status.ok()) return "";
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  std::string reason = absl::StrCat("code ", +status.error_code());
  if (details.ParseFromString(status.error_details()) && details.details_size() > 0 &&
      details.details(0).UnpackTo(&info))
    reason = info.reason();
  return absl::StrCat(reason, ": ", status.error_message());
}

std::uint64_t IdOf(const std::string& text) { return ParseIdText(text).value_or(0); }

// One that this program does not know is told by its number.
template <class Enum>
std::string Word(Enum value, const char* prefix) {
  const auto* known = google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(value);
  if (known == nullptr) return absl::StrCat(static_cast<int>(value));
  return std::string(absl::StripPrefix(known->name(), prefix));
}

RevocationSeen Seen(const v1::Revocation& revocation) {
  RevocationSeen seen;
  seen.sessions_told = revocation.sessions_told();
  seen.leases_told = revocation.leases_told();
  for (const v1::BufferVerdict& verdict : revocation.verdicts()) {
    BufferVerdictSeen one = {.buffer = IdOf(verdict.buffer_id()),
                             .verdict = Word(verdict.verdict().kind(), "VERDICT_KIND_"),
                             .references = verdict.verdict().references()};
    for (const v1::Holder& holder : verdict.holders()) {
      one.holders.push_back(holder.pid());
      one.signalled.push_back(Word(holder.signalled(), "SIGNAL_"));
    }
    one.outside_known = verdict.outside_known();
    for (const v1::OutsideHolder& holder : verdict.outside())
      one.outside.push_back({.pid = holder.pid(),
                             .descriptors = holder.descriptors(),
                             .mappings = holder.mappings(),
                             .has_lease = holder.has_lease()});
    seen.verdicts.push_back(std::move(one));
  }
  return seen;
}

BufferSeen Seen(const v1::Buffer& buffer) {
  BufferSeen seen = {.id = IdOf(buffer.id()),
                     .name = buffer.name(),
                     .state = Word(buffer.state(), "BUFFER_STATE_"),
                     .owner_uid = buffer.owner().uid(),
                     .lease_count = buffer.lease_count(),
                     .references = buffer.references()};
  for (const auto& [key, value] :
       std::map<std::string, std::string>(buffer.labels().begin(), buffer.labels().end()))
    absl::StrAppend(&seen.labels, seen.labels.empty() ? "" : " ", key, "=", value);
  return seen;
}

EventSeen Seen(const v1::Event& event) {
  return {.sequence = event.sequence(),
          .kind = Word(event.kind(), "EVENT_KIND_"),
          .time_ms = event.time().seconds() * 1'000 + event.time().nanos() / 1'000'000,
          .device = event.device(),
          .buffer = IdOf(event.buffer_id()),
          .uid = event.domain().uid(),
          .text = event.text(),
          .verdict = event.has_verdict() ? Word(event.verdict().kind(), "VERDICT_KIND_") : ""};
}

}  // namespace

struct ControlClient::Stub {
  // A stream says at once where it begins: at the end of what has happened.
  v1::WatchEventsResponse Now() const;

  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Control::Stub> control;
};

v1::WatchEventsResponse ControlClient::Stub::Now() const {
  const auto context = Within(0);
  const auto stream = control->WatchEvents(context.get(), v1::WatchEventsRequest());
  v1::WatchEventsResponse now;
  EXPECT_TRUE(stream->Read(&now));
  context->TryCancel();
  return now;
}

const OutsideSeen* BufferVerdictSeen::Outside(pid_t pid) const {
  for (const OutsideSeen& holder : outside)
    if (holder.pid == pid) return &holder;
  return nullptr;
}

const BufferVerdictSeen& RevocationSeen::only() const {
  static const BufferVerdictSeen kNone;
  EXPECT_EQ(error, "");
  EXPECT_EQ(verdicts.size(), 1U);
  return verdicts.empty() ? kNone : verdicts.front();
}

ControlClient::ControlClient(const std::string& socket_path) : stub_(std::make_unique<Stub>()) {
  stub_->channel = grpc::CreateChannel("unix:" + socket_path, grpc::InsecureChannelCredentials());
  stub_->control = v1::Control::NewStub(stub_->channel);
}

ControlClient::~ControlClient() = default;

RevocationSeen ControlClient::Revoke(std::uint64_t buffer, int grace_ms) {
  v1::RevokeBuffersRequest request;
  v1::RevokeBuffersResponse response;
  request.add_buffer_ids(IdText(buffer));
  request.mutable_grace()->set_seconds(grace_ms / 1000);
  request.mutable_grace()->set_nanos(grace_ms % 1000 * 1'000'000);
  const grpc::Status status =
      stub_->control->RevokeBuffers(Within(grace_ms).get(), request, &response);
  RevocationSeen seen = Seen(response.revocation());
  seen.error = ErrorOf(status);
  return seen;
}

RevocationSeen ControlClient::SimulateReset(const std::string& device, int grace_ms) {
  v1::SimulateResetRequest request;
  v1::SimulateResetResponse response;
  request.set_device(device);
  request.mutable_grace()->set_seconds(grace_ms / 1000);
  request.mutable_grace()->set_nanos(grace_ms % 1000 * 1'000'000);
  const grpc::Status status =
      stub_->control->SimulateReset(Within(grace_ms).get(), request, &response);
  RevocationSeen seen = Seen(response.revocation());
  seen.error = ErrorOf(status);
  seen.device_state = Word(response.device().state(), "DEVICE_STATE_");
  seen.epoch = response.device().epoch();
  return seen;
}

std::future<RevocationSeen> ControlClient::StartToRevoke(std::uint64_t buffer, int grace_ms) {
  return std::async(std::launch::async, [=, this] { return Revoke(buffer, grace_ms); });
}

std::future<RevocationSeen> ControlClient::StartToReset(const std::string& device, int grace_ms) {
  return std::async(std::launch::async, [=, this] { return SimulateReset(device, grace_ms); });
}

std::vector<BufferSeen> ControlClient::Buffers() {
  std::vector<BufferSeen> buffers;
  v1::ListBuffersRequest request;
  request.set_page_size(kPageSize);
  do {
    v1::ListBuffersResponse response;
    const grpc::Status status = stub_->control->ListBuffers(Within(0).get(), request, &response);
    EXPECT_EQ(ErrorOf(status), "");
    for (const v1::Buffer& buffer : response.buffers()) buffers.push_back(Seen(buffer));
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return buffers;
}

std::vector<std::uint64_t> ControlClient::Leases() {
  std::vector<std::uint64_t> ids;
  for (const LeaseSeen& lease : LeasesAndStates()) ids.push_back(lease.id);
  return ids;
}

std::vector<LeaseSeen> ControlClient::LeasesAndStates() {
  std::vector<LeaseSeen> leases;
  v1::ListLeasesRequest request;
  request.set_page_size(kPageSize);
  do {
    v1::ListLeasesResponse response;
    const grpc::Status status = stub_->control->ListLeases(Within(0).get(), request, &response);
    EXPECT_EQ(ErrorOf(status), "");
    for (const v1::Lease& lease : response.leases())
      leases.push_back({.id = IdOf(lease.id()), .state = Word(lease.state(), "LEASE_STATE_")});
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return leases;
}

std::vector<SessionSeen> ControlClient::SessionsOf(uid_t uid) {
  std::vector<SessionSeen> sessions;
  v1::ListSessionsRequest request;
  request.set_page_size(kPageSize);
  request.set_uid(uid);
  do {
    v1::ListSessionsResponse response;
    const grpc::Status status = stub_->control->ListSessions(Within(0).get(), request, &response);
    EXPECT_EQ(ErrorOf(status), "");
    for (const v1::Session& session : response.sessions())
      sessions.push_back({.id = IdOf(session.id()),
                          .uid = session.peer().uid(),
                          .pid = session.peer().pid(),
                          .client = session.client(),
                          .state = Word(session.state(), "SESSION_STATE_"),
                          .lease_count = session.lease_count(),
                          .in_flight_fds = session.in_flight_fds()});
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return sessions;
}

std::optional<BufferSeen> ControlClient::Find(std::uint64_t buffer) {
  v1::GetBufferRequest request;
  request.set_id(IdText(buffer));
  v1::Buffer response;
  const grpc::Status status = stub_->control->GetBuffer(Within(0).get(), request, &response);
  if (status.ok()) return Seen(response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND) << ErrorOf(status);
  return std::nullopt;
}

DeviceSeen ControlClient::Device(const std::string& name) {
  v1::GetDeviceRequest request;
  request.set_name(name);
  v1::Device response;
  EXPECT_EQ(ErrorOf(stub_->control->GetDevice(Within(0).get(), request, &response)), "");
  return {.state = Word(response.state(), "DEVICE_STATE_"),
          .epoch = response.epoch(),
          .failure = response.failure()};
}

std::uint64_t ControlClient::NextEvent() { return stub_->Now().next(); }

std::vector<EventSeen> ControlClient::Events(std::uint64_t from) {
  const v1::WatchEventsResponse now = stub_->Now();
  v1::WatchEventsRequest request;
  request.set_life(now.life());
  request.set_next(from);
  const auto context = Within(0);
  const auto stream = stub_->control->WatchEvents(context.get(), request);
  std::vector<EventSeen> events;
  v1::WatchEventsResponse response;
  response.set_next(from);
  while (response.next() < now.next() && stream->Read(&response))
    for (const v1::Event& event : response.events()) events.push_back(Seen(event));
  EXPECT_GE(response.next(), now.next()) << "the stream has ended";
  context->TryCancel();
  return events;
}

}  // namespace hlbuf
