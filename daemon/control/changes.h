// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_CHANGES_H_
#define HLBUF_DAEMON_CONTROL_CHANGES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "daemon/control/role.h"
#include "daemon/control/unary_call.h"
#include "daemon/core/broker.h"
#include "hlbuf/v1/control.pb.h"

namespace hlbuf {

// What operators may change. Each change names who asked for it, in an event. Broker thread.
//
// A response lives until its reply was sent; the change goes on without it.
class Changes {
 public:
  explicit Changes(Broker& broker) : broker_(broker) {}

  void RevokeBuffers(const Caller& caller, const hlbuf::v1::RevokeBuffersRequest& request,
                     hlbuf::v1::RevokeBuffersResponse& response,
                     const std::shared_ptr<Reply>& reply);
  void SimulateReset(const Caller& caller, const hlbuf::v1::SimulateResetRequest& request,
                     hlbuf::v1::SimulateResetResponse& response,
                     const std::shared_ptr<Reply>& reply);
  // Answers those that wait for an outcome.
  void Stop(const absl::Status& status);

 private:
  absl::Status Begin(const Caller& caller, const hlbuf::v1::RevokeBuffersRequest& request,
                     hlbuf::v1::RevokeBuffersResponse& response,
                     const std::shared_ptr<Reply>& reply);
  absl::Status Begin(const Caller& caller, const hlbuf::v1::SimulateResetRequest& request,
                     hlbuf::v1::SimulateResetResponse& response,
                     const std::shared_ptr<Reply>& reply);
  // PERMISSION_DENIED, and an event; or only the event of who asks for what.
  absl::Status Authorize(const Caller& caller, const std::string& what);
  void Wait(const std::shared_ptr<Reply>& reply);

  Broker& broker_;
  std::vector<std::weak_ptr<Reply>> waiting_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_CHANGES_H_
