// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/crash_point.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/session/random_secret.h"
#include "daemon/session/session.h"

namespace hlbuf {
namespace {

// Known or not: what is below the one-way frames wants an answer.
bool IsRequest(std::uint16_t opcode) { return opcode > 0 && opcode < HLBUF_WIRE_RELEASE; }

}  // namespace

absl::Status Session::Dispatch(const hlbuf_wire_header& header, Frame frame) {
  if (record_->state == SessionState::kNew && header.opcode != HLBUF_WIRE_HELLO &&
      header.opcode != HLBUF_WIRE_REATTACH)
    return Error(ErrorCode::kProtocolError,
                 absl::StrCat("opcode ", header.opcode, " came before HELLO"));
  if (parts_ != nullptr && header.opcode != HLBUF_WIRE_REATTACH)
    return Error(ErrorCode::kProtocolError,
                 absl::StrCat("opcode ", header.opcode, " came between the parts of a REATTACH"));
  if (IsRequest(header.opcode) && header.cookie == 0)
    return Error(ErrorCode::kProtocolError,
                 absl::StrCat("a request, opcode ", header.opcode, ", has the cookie 0"));
  switch (header.opcode) {
    case HLBUF_WIRE_HELLO:
      return HandleHello(header.cookie, frame);
    case HLBUF_WIRE_REATTACH:
      return HandleReattach(header.cookie, frame);
    case HLBUF_WIRE_ALLOCATE:
      return HandleAllocate(header.cookie, frame);
    case HLBUF_WIRE_OPEN:
      return HandleOpen(header.cookie, frame);
    case HLBUF_WIRE_SHARE:
      return HandleShare(header.cookie, frame, true);
    case HLBUF_WIRE_UNSHARE:
      return HandleShare(header.cookie, frame, false);
    case HLBUF_WIRE_DEVICES:
      RETURN_IF_ERROR(DecodeBare(frame));
      Send(context_.out.DeviceList(header.cookie, context_.broker));
      return absl::OkStatus();
    case HLBUF_WIRE_RELEASE:
      return HandleRelease(frame);
    case HLBUF_WIRE_PONG:
      return HandlePong(frame);
    default:
      break;
  }
  if (header.opcode == 0 || header.opcode >= HLBUF_WIRE_REPLY)
    return Error(ErrorCode::kProtocolError,
                 absl::StrCat("opcode ", header.opcode, " is not a client's to send"));
  return Error(ErrorCode::kUnimplemented,
               absl::StrCat("opcode ", header.opcode, " is unknown to this version"));
}

absl::Status Session::HandleHello(std::uint64_t cookie, Frame frame) {
  if (record_->state != SessionState::kNew)
    return Error(ErrorCode::kProtocolError, "a second HELLO");
  ASSIGN_OR_RETURN(Hello hello, DecodeHello(frame));
  RETURN_IF_ERROR(CheckVersion(hello.version));
  // Who cannot come back has nothing to be kept for.
  if ((hello.features & HLBUF_WIRE_FEATURE_REATTACH) != 0) record_->secret = RandomSecret();
  wants_page_ = (hello.features & HLBUF_WIRE_FEATURE_EPOCH_PAGE) != 0;
  RETURN_IF_ERROR(context_.broker.Greet(*record_, std::move(hello.client)));
  Outbox::Item welcome = PendingWelcome{.cookie = cookie, .opcode = HLBUF_WIRE_WELCOME};
  if (!outbox_.empty() || !ReadyToSend() || absl::IsUnavailable(SendPending(welcome))) {
    outbox_.Push(std::move(welcome));
    WatchFor();
  }
  return absl::OkStatus();
}

absl::Status Session::CheckVersion(std::uint32_t version) {
  if (version == HLBUF_WIRE_VERSION) return absl::OkStatus();
  return Error(ErrorCode::kUnimplemented,
               absl::StrCat("version ", version, " is unknown; this daemon speaks version ",
                            +HLBUF_WIRE_VERSION));
}

Welcome Session::WelcomeOf(const SessionRecord& record) const {
  // At least 1: a client could make nothing of 0, and learns from the refusal what is the matter.
  const std::uint64_t batch_max =
      std::clamp<std::uint64_t>(in_flight_max_, 1, HLBUF_WIRE_BATCH_MAX);
  return {.session = record.id,
          .features = record.secret.empty() ? 0U : std::uint64_t{HLBUF_WIRE_FEATURE_REATTACH},
          .batch_max = static_cast<std::uint32_t>(batch_max),
          .requests_max = kRequestsMax,
          .secret = record.secret};
}

absl::Status Session::HandleAllocate(std::uint64_t cookie, Frame frame) {
  ASSIGN_OR_RETURN(AllocateRequest request, DecodeAllocate(frame));
  request.cookie = cookie;
  ++allocating_;
  if (const std::optional<LeaseId> lease = AllocatedBefore(cookie); lease.has_value()) {
    OnAllocated(cookie, *lease);
    return absl::OkStatus();
  }
  context_.broker.Allocate(*record_, std::move(request),
                           [alive = alive_, cookie](absl::StatusOr<LeaseId> lease) {
                             if (Session* const self = *alive; self != nullptr)
                               self->OnAllocated(cookie, std::move(lease));
                           });
  if (allocating_ == kRequestsMax) WatchFor();
  return absl::OkStatus();
}

void Session::OnAllocated(std::uint64_t cookie, absl::StatusOr<LeaseId> lease) {
  --allocating_;
  if (farewell_.has_value()) return;  // the lease ends with the session, and soon
  if (!lease.ok()) {
    Answer(cookie, lease.status());
  } else if (!outbox_.empty() || !ReadyToSend() ||
             absl::IsUnavailable(SendAllocated(cookie, *lease))) {
    outbox_.Push(PendingAllocated{.cookie = cookie, .lease = *lease});
  }
  if (!outbox_.empty() || !reading_) WatchFor();
}

absl::Status Session::HandleOpen(std::uint64_t cookie, Frame frame) {
  std::vector<absl::StatusOr<Grant>>& results = context_.results;
  RETURN_IF_ERROR(DecodeOpen(frame, context_.items));
  RETURN_IF_ERROR(TakeInFlight(context_.items.size()));
  if (absl::Status opened = context_.broker.Open(*record_, context_.items, results); !opened.ok()) {
    context_.broker.GiveBackInFlight(*record_);
    return opened;
  }
  if (absl::IsUnavailable(SendOpened(cookie, results))) {
    outbox_.Push(PendingOpened{.cookie = cookie, .results = std::exchange(results, {})});
    WatchFor();
  }
  return absl::OkStatus();
}

absl::Status Session::HandleShare(std::uint64_t cookie, Frame frame, bool share) {
  ASSIGN_OR_RETURN(const ShareRequest request, DecodeShare(frame));
  RETURN_IF_ERROR(share ? context_.broker.Share(*record_, request.buffer, request.grantee)
                        : context_.broker.Unshare(*record_, request.buffer, request.grantee));
  Send(context_.out.Bare(cookie, share ? HLBUF_WIRE_SHARED : HLBUF_WIRE_UNSHARED));
  return absl::OkStatus();
}

absl::Status Session::HandleRelease(Frame frame) {
  RETURN_IF_ERROR(DecodeRelease(frame, context_.leases));
  CrashPoint("before-release");
  context_.broker.Release(*record_, context_.leases);
  CrashPoint("after-release");
  return absl::OkStatus();
}

absl::Status Session::HandlePong(Frame frame) {
  ASSIGN_OR_RETURN(const std::uint64_t nonce, DecodePong(frame));
  if (nonce == ping_nonce_) {
    ping_nonce_ = 0;
    record_->unanswered_ping_since.reset();
  }
  return absl::OkStatus();
}

}  // namespace hlbuf
