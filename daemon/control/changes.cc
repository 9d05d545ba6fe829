// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/changes.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/control/request_fields.h"
#include "daemon/control/rpc_status.h"
#include "daemon/control/to_proto.h"
#include "daemon/core/error.h"
#include "daemon/core/names.h"

namespace hlbuf {
namespace v1 = hlbuf::v1;
namespace {

constexpr int kBuffersMax = 1000;

// Each once, in the order of the request.
absl::StatusOr<std::vector<BufferId>> ReadBuffers(const v1::RevokeBuffersRequest& request) {
  if (request.buffer_ids_size() == 0 || request.buffer_ids_size() > kBuffersMax)
    return Error(ErrorCode::kInvalidArgument,
                 absl::StrCat("buffer_ids has ", request.buffer_ids_size(), " ids; 1 to ",
                              kBuffersMax, " can be revoked at once"));
  std::vector<BufferId> ids;
  absl::flat_hash_set<BufferId> seen;
  for (const std::string& text : request.buffer_ids()) {
    ASSIGN_OR_RETURN(const std::uint64_t value, ReadId("buffer_ids", text));
    if (seen.insert(BufferId{value}).second) ids.push_back(BufferId{value});
  }
  return ids;
}

absl::StatusOr<Drill> ReadDrill(v1::Drill drill) {
  switch (drill) {
    case v1::DRILL_UNSPECIFIED:
    case v1::DRILL_NONE:
      return Drill::kNone;
    case v1::DRILL_FAILS:
      return Drill::kFails;
    default:
      return Error(ErrorCode::kInvalidArgument,
                   absl::StrCat("drill has the value ", static_cast<int>(drill),
                                ", which stands for nothing"));
  }
}

std::string SomeIds(const std::vector<BufferId>& ids) {
  constexpr std::size_t kShown = 4;
  std::string text;
  for (std::size_t i = 0; i < std::min(ids.size(), kShown); ++i)
    absl::StrAppend(&text, i == 0 ? "" : ", ", IdText(ids[i]));
  if (ids.size() > kShown) absl::StrAppend(&text, " and ", ids.size() - kShown, " more");
  return text;
}

}  // namespace

absl::Status Changes::Authorize(const Caller& caller, const std::string& what) {
  const absl::Status allowed = Require(Role::kOperator, caller, what);
  // The fields of an event are for processes.
  const std::string who = caller.is_remote() ? absl::StrCat(CallerText(caller), " ") : "";
  broker_.Tell({.kind = allowed.ok() ? EventKind::kOperatorRequest : EventKind::kRequestRefused,
                .domain = caller.peer.domain(),
                .pid = caller.peer.pid,
                .text = allowed.ok() ? absl::StrCat(who, "asks to ", what)
                                     : std::string(allowed.message())});
  return allowed;
}

void Changes::Wait(const std::shared_ptr<Reply>& reply) {
  std::erase_if(waiting_, [](const std::weak_ptr<Reply>& weak) {
    const std::shared_ptr<Reply> other = weak.lock();
    return other == nullptr || !other->open();
  });
  if (reply->open()) waiting_.push_back(reply);
}

void Changes::Stop(const absl::Status& status) {
  for (const std::weak_ptr<Reply>& weak : std::exchange(waiting_, {}))
    if (const std::shared_ptr<Reply> reply = weak.lock()) reply->Send(status);
}

void Changes::RevokeBuffers(const Caller& caller, const v1::RevokeBuffersRequest& request,
                            v1::RevokeBuffersResponse& response,
                            const std::shared_ptr<Reply>& reply) {
  const bool waits =
      !request.no_wait();  // the request ends with its call, which Begin() may answer
  const absl::Status begun = Begin(caller, request, response, reply);
  if (begun.ok() && waits) return Wait(reply);
  reply->Send(begun);
}

absl::Status Changes::Begin(const Caller& caller, const v1::RevokeBuffersRequest& request,
                            v1::RevokeBuffersResponse& response,
                            const std::shared_ptr<Reply>& reply) {
  ASSIGN_OR_RETURN(const std::vector<BufferId> ids, ReadBuffers(request));
  ASSIGN_OR_RETURN(const absl::Duration grace,
                   ReadGrace(request, broker_.settings().operator_grace));
  RETURN_IF_ERROR(Authorize(
      caller, absl::StrCat("revoke ", SomeIds(ids), " within ", absl::FormatDuration(grace))));
  if (request.no_wait()) {
    ASSIGN_OR_RETURN(const RevocationId id,
                     broker_.RevokeBuffers(ids, grace, [](const RevocationReport&) {}));
    *response.mutable_revocation() = Begun(id, grace);
    return absl::OkStatus();
  }
  return broker_.RevokeBuffers(ids, grace, AnswerWithReport(response, reply)).status();
}

v1::Revocation Changes::Begun(RevocationId id, absl::Duration grace) const {
  const Clock& clock = broker_.ledger().clock;
  const absl::Time now = clock.Now();
  v1::Revocation revocation =
      ToProto(RevocationReport{.id = id, .began = now, .deadline = now + grace}, WallTimes(clock));
  revocation.clear_end_time();
  return revocation;
}

void Changes::SimulateReset(const Caller& caller, const v1::SimulateResetRequest& request,
                            v1::SimulateResetResponse& response,
                            const std::shared_ptr<Reply>& reply) {
  const bool waits = !request.no_wait();  // likewise
  const absl::Status begun = Begin(caller, request, response, reply);
  if (begun.ok() && waits) return Wait(reply);
  if (begun.ok())
    *response.mutable_device() = ToProto(*broker_.FindDevice(request.device()), broker_);
  reply->Send(begun);
}

absl::Status Changes::Begin(const Caller& caller, const v1::SimulateResetRequest& request,
                            v1::SimulateResetResponse& response,
                            const std::shared_ptr<Reply>& reply) {
  ASSIGN_OR_RETURN(const Drill drill, ReadDrill(request.drill()));
  ASSIGN_OR_RETURN(const absl::Duration grace, ReadGrace(request, broker_.settings().reset_grace));
  RETURN_IF_ERROR(Authorize(caller, absl::StrCat("drill a reset of ", Printable(request.device()),
                                                 " within ", absl::FormatDuration(grace))));
  Resets::Done done = [](const ResetReport&) {};
  if (!request.no_wait())
    done = [this, reply, &response, device = request.device()](const ResetReport& report) {
      if (!reply->open()) return;
      if (report.revocation.id)
        *response.mutable_revocation() =
            ToProto(report.revocation, WallTimes(broker_.ledger().clock));
      *response.mutable_device() = ToProto(*broker_.FindDevice(device), broker_);
      *response.mutable_outcome() = ToRpcStatus(report.outcome);
      reply->Send(absl::OkStatus());
    };
  return broker_.SimulateReset(request.device(), drill, grace, std::move(done));
}

}  // namespace hlbuf
