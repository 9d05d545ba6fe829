// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_UNARY_CALL_H_
#define HLBUF_DAEMON_CONTROL_UNARY_CALL_H_

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "daemon/base/poster.h"
#include "daemon/control/caller_quota.h"

namespace hlbuf {

class UnaryCall;

// The broker thread's end of a call: answers it exactly once, and for good when it is dropped, so
// that no call is ever forgotten. The call's request and response live until then.
class Reply {
 public:
  explicit Reply(UnaryCall& call) : call_(&call) {}
  ~Reply();
  // The first one counts.
  void Send(const absl::Status& status);
  // False: the caller has gone, or had its answer.
  bool open() const { return call_ != nullptr; }
  // Kept until gRPC is done with the call: a caller that does not take its answers is not given
  // more of them.
  void Hold(CallerQuota::Slot slot);

 private:
  UnaryCall* call_;  // null once it was answered
};

// One call on gRPC's side. gRPC's threads only post; it deletes itself when gRPC is done with it,
// which is after the answer.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  explicit UnaryCall(Poster& poster) : poster_(poster) {}
  // Called once, by whoever makes the call.
  std::shared_ptr<Reply> MakeReply();

  void OnCancel() override;
  void OnDone() override;

 private:
  friend class Reply;
  Poster& poster_;
  std::weak_ptr<Reply> reply_;
  CallerQuota::Slot slot_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_UNARY_CALL_H_
