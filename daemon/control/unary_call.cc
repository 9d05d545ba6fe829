// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/unary_call.h"

#include "daemon/control/rpc_status.h"
#include "daemon/core/error.h"

namespace hlbuf {

Reply::~Reply() { Send(Error(ErrorCode::kShuttingDown, "the service ends")); }

void Reply::Send(const absl::Status& status) {
  if (UnaryCall* const call = std::exchange(call_, nullptr)) call->Finish(ToGrpcStatus(status));
}

void Reply::Hold(CallerQuota::Slot slot) {
  if (call_ != nullptr) call_->slot_ = std::move(slot);
}

std::shared_ptr<Reply> UnaryCall::MakeReply() {
  auto reply = std::make_shared<Reply>(*this);
  reply_ = reply;
  return reply;
}

void UnaryCall::OnCancel() {
  poster_.Post([weak = reply_] {
    if (const std::shared_ptr<Reply> reply = weak.lock()) reply->Send(absl::CancelledError());
  });
}

void UnaryCall::OnDone() {
  poster_.Post([slot = std::move(slot_)] {});
  delete this;
}

}  // namespace hlbuf
