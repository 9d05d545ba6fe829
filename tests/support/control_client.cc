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

template <class Enum>
std::string Word(Enum value, const char* prefix) {
  return std::string(absl::StripPrefix(
      google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(value)->name(), prefix));
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

}  // namespace

struct ControlClient::Stub {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Control::Stub> control;
};

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

std::uint64_t ControlClient::EpochOf(const std::string& device) {
  v1::GetDeviceRequest request;
  request.set_name(device);
  v1::Device response;
  EXPECT_EQ(ErrorOf(stub_->control->GetDevice(Within(0).get(), request, &response)), "");
  return response.epoch();
}

}  // namespace hlbuf
