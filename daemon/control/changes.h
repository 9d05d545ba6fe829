// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_CHANGES_H_
#define HLBUF_DAEMON_CONTROL_CHANGES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "daemon/control/role.h"
#include "daemon/control/to_proto.h"
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
  void RevokeHoldings(const Caller& caller, const hlbuf::v1::RevokeHoldingsRequest& request,
                      hlbuf::v1::RevokeHoldingsResponse& response,
                      const std::shared_ptr<Reply>& reply);
  void DrainDevice(const Caller& caller, const hlbuf::v1::DrainDeviceRequest& request,
                   hlbuf::v1::DrainDeviceResponse& response, const std::shared_ptr<Reply>& reply);
  void UndrainDevice(const Caller& caller, const hlbuf::v1::UndrainDeviceRequest& request,
                     hlbuf::v1::Device& response, const std::shared_ptr<Reply>& reply);
  // Answers those that wait for an outcome.
  void Stop(const absl::Status& status);

 private:
  absl::Status Begin(const Caller& caller, const hlbuf::v1::RevokeBuffersRequest& request,
                     hlbuf::v1::RevokeBuffersResponse& response,
                     const std::shared_ptr<Reply>& reply);
  absl::Status Begin(const Caller& caller, const hlbuf::v1::SimulateResetRequest& request,
                     hlbuf::v1::SimulateResetResponse& response,
                     const std::shared_ptr<Reply>& reply);
  absl::Status Begin(const Caller& caller, const hlbuf::v1::RevokeHoldingsRequest& request,
                     hlbuf::v1::RevokeHoldingsResponse& response,
                     const std::shared_ptr<Reply>& reply);
  absl::Status Begin(const Caller& caller, const hlbuf::v1::DrainDeviceRequest& request,
                     hlbuf::v1::DrainDeviceResponse& response, const std::shared_ptr<Reply>& reply);
  absl::Status Undrain(const Caller& caller, const hlbuf::v1::UndrainDeviceRequest& request,
                       hlbuf::v1::Device& response);
  void AnswerDrain(const std::string& device, hlbuf::v1::DrainDeviceResponse& response,
                   Reply& reply);
  // A revocation that has no verdicts yet.
  hlbuf::v1::Revocation Begun(RevocationId id, absl::Duration grace) const;
  template <class Response>
  Revocations::Done AnswerWithReport(Response& response, const std::shared_ptr<Reply>& reply) {
    return [reply, &response, &clock = broker_.ledger().clock](const RevocationReport& report) {
      if (!reply->open()) return;
      *response.mutable_revocation() = ToProto(report, WallTimes(clock));
      reply->Send(absl::OkStatus());
    };
  }
  // PERMISSION_DENIED, and an event; or only the event of who asks for what.
  absl::Status Authorize(const Caller& caller, const std::string& what);
  void Wait(const std::shared_ptr<Reply>& reply);

  Broker& broker_;
  std::vector<std::weak_ptr<Reply>> waiting_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_CHANGES_H_
