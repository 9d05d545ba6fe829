// SPDX-License-Identifier: Apache-2.0
// Before maintenance, and after a job.
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/control/changes.h"
#include "daemon/control/plan_to_proto.h"
#include "daemon/control/request_fields.h"
#include "daemon/control/to_proto.h"
#include "daemon/core/error.h"
#include "daemon/core/names.h"

namespace hlbuf {
namespace v1 = hlbuf::v1;
namespace {

constexpr std::size_t kHeldMax = 1000;

absl::StatusOr<Whose> ReadWhose(const v1::RevokeHoldingsRequest& request) {
  switch (request.whose_case()) {
    case v1::RevokeHoldingsRequest::kUid:
      return Whose{.kind = Whose::Kind::kUid, .id = request.uid()};
    case v1::RevokeHoldingsRequest::kJob:
      return Whose{.kind = Whose::Kind::kJob, .id = request.job()};
    case v1::RevokeHoldingsRequest::WHOSE_NOT_SET:
      break;
  }
  return Error(ErrorCode::kInvalidArgument, "neither uid nor job is set; name whose things to ask");
}

std::string WhoseText(const Whose& whose) {
  return absl::StrCat(whose.kind == Whose::Kind::kUid ? "uid " : "job ", whose.id);
}

std::string DrainText(const std::string& device, const DrainRequest& drain) {
  return absl::StrCat("drain ", Printable(device),
                      drain.grace.has_value()
                          ? absl::StrCat(" and to ask back what is held within ",
                                         absl::FormatDuration(*drain.grace))
                          : "");
}

absl::StatusOr<DrainRequest> ReadDrain(const v1::DrainDeviceRequest& request,
                                       const Caller& caller) {
  DrainRequest drain = {.by = CallerText(caller)};
  if (request.has_grace()) {
    ASSIGN_OR_RETURN(drain.grace, ReadDuration("grace", request.grace()));
  }
  ASSIGN_OR_RETURN(drain.patience, ReadDuration("wait", request.wait()));
  return drain;
}

}  // namespace

void Changes::RevokeHoldings(const Caller& caller, const v1::RevokeHoldingsRequest& request,
                             v1::RevokeHoldingsResponse& response,
                             const std::shared_ptr<Reply>& reply) {
  const bool waits = !request.no_wait();  // the request ends with its call, which may be answered
  const absl::Status begun = Begin(caller, request, response, reply);
  if (begun.ok() && waits) return Wait(reply);
  reply->Send(begun);
}

absl::Status Changes::Begin(const Caller& caller, const v1::RevokeHoldingsRequest& request,
                            v1::RevokeHoldingsResponse& response,
                            const std::shared_ptr<Reply>& reply) {
  ASSIGN_OR_RETURN(const Whose whose, ReadWhose(request));
  ASSIGN_OR_RETURN(const absl::Duration grace,
                   ReadGrace(request, broker_.settings().operator_grace));
  RETURN_IF_ERROR(Authorize(caller, absl::StrCat("revoke everything of ", WhoseText(whose),
                                                 " within ", absl::FormatDuration(grace))));
  if (!request.no_wait())
    return broker_.RevokeHoldings(whose, grace, AnswerWithReport(response, reply)).status();
  const auto over = std::make_shared<std::optional<RevocationReport>>();
  ASSIGN_OR_RETURN(const RevocationId id,
                   broker_.RevokeHoldings(
                       whose, grace, [over](const RevocationReport& report) { *over = report; }));
  // Who has nothing is done with at once, and is told so.
  *response.mutable_revocation() =
      over->has_value() ? ToProto(**over, WallTimes(broker_.ledger().clock)) : Begun(id, grace);
  return absl::OkStatus();
}

void Changes::DrainDevice(const Caller& caller, const v1::DrainDeviceRequest& request,
                          v1::DrainDeviceResponse& response, const std::shared_ptr<Reply>& reply) {
  const absl::Status begun = Begin(caller, request, response, reply);
  if (begun.ok()) return Wait(reply);
  reply->Send(begun);
}

absl::Status Changes::Begin(const Caller& caller, const v1::DrainDeviceRequest& request,
                            v1::DrainDeviceResponse& response,
                            const std::shared_ptr<Reply>& reply) {
  ASSIGN_OR_RETURN(DrainRequest drain, ReadDrain(request, caller));
  RETURN_IF_ERROR(Authorize(caller, DrainText(request.device(), drain)));
  drain.wanted = [reply] { return reply->open(); };
  return broker_.DrainDevice(request.device(), std::move(drain),
                             [this, reply, &response, device = request.device()] {
                               if (reply->open()) AnswerDrain(device, response, *reply);
                             });
}

void Changes::AnswerDrain(const std::string& name, v1::DrainDeviceResponse& response,
                          Reply& reply) {
  const Device& device = *broker_.FindDevice(name);
  if (!device.drain().has_value())
    return reply.Send(Error(ErrorCode::kDeviceUnavailable,
                            absl::StrCat(name, " was undrained while somebody waited for it")));
  *response.mutable_device() = ToProto(device, broker_);
  const std::vector<BufferRecord*> held = broker_.ledger().HeldOf(device);
  AddHeld({held.begin(), held.end()}, kHeldMax, WallTimes(broker_.ledger().clock),
          *response.mutable_held());
  response.set_held_count(static_cast<std::uint32_t>(held.size()));
  reply.Send(absl::OkStatus());
}

void Changes::UndrainDevice(const Caller& caller, const v1::UndrainDeviceRequest& request,
                            v1::Device& response, const std::shared_ptr<Reply>& reply) {
  reply->Send(Undrain(caller, request, response));
}

absl::Status Changes::Undrain(const Caller& caller, const v1::UndrainDeviceRequest& request,
                              v1::Device& response) {
  RETURN_IF_ERROR(Authorize(caller, absl::StrCat("undrain ", Printable(request.device()))));
  RETURN_IF_ERROR(broker_.UndrainDevice(request.device()));
  response = ToProto(*broker_.FindDevice(request.device()), broker_);
  return absl::OkStatus();
}

}  // namespace hlbuf
