// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_CONTROL_SERVICE_H_
#define HLBUF_DAEMON_CONTROL_CONTROL_SERVICE_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "daemon/base/poster.h"
#include "daemon/control/caller_quota.h"
#include "daemon/control/callers.h"
#include "daemon/control/changes.h"
#include "daemon/control/service_status.h"
#include "daemon/control/watchers.h"
#include "daemon/core/broker.h"
#include "hlbuf/v1/control.grpc.pb.h"

namespace hlbuf {

// OpenMetrics text, as of now. Broker thread.
using MetricsText = std::function<std::string()>;

// What is asked for of parts that this one does not know.
struct ServiceReports {
  MetricsText metrics;
  FactsNow facts;
};

// hlbuf.v1.Control. gRPC's threads enter here and only post; everything is answered from the broker
// thread, where a caller's identity is looked up once, first of all.
class ControlService final : public hlbuf::v1::Control::CallbackService {
 public:
  ControlService(Poster& poster, Broker& broker, const Callers& callers, Watchers& watchers,
                 ServiceReports reports, CallerQuota::Limits calls)
      : poster_(poster),
        broker_(broker),
        callers_(callers),
        watchers_(watchers),
        reports_(std::move(reports)),
        changes_(broker),
        quota_("calls in progress", calls) {}

  // Broker thread: ends what waits or watches; from now on every call is answered SHUTTING_DOWN.
  void Stop();

  grpc::ServerUnaryReactor* ListDevices(grpc::CallbackServerContext* context,
                                        const hlbuf::v1::ListDevicesRequest* request,
                                        hlbuf::v1::ListDevicesResponse* response) override;
  grpc::ServerUnaryReactor* GetDevice(grpc::CallbackServerContext* context,
                                      const hlbuf::v1::GetDeviceRequest* request,
                                      hlbuf::v1::Device* response) override;
  grpc::ServerUnaryReactor* ListBuffers(grpc::CallbackServerContext* context,
                                        const hlbuf::v1::ListBuffersRequest* request,
                                        hlbuf::v1::ListBuffersResponse* response) override;
  grpc::ServerUnaryReactor* GetBuffer(grpc::CallbackServerContext* context,
                                      const hlbuf::v1::GetBufferRequest* request,
                                      hlbuf::v1::Buffer* response) override;
  grpc::ServerUnaryReactor* ListLeases(grpc::CallbackServerContext* context,
                                       const hlbuf::v1::ListLeasesRequest* request,
                                       hlbuf::v1::ListLeasesResponse* response) override;
  grpc::ServerUnaryReactor* ListSessions(grpc::CallbackServerContext* context,
                                         const hlbuf::v1::ListSessionsRequest* request,
                                         hlbuf::v1::ListSessionsResponse* response) override;
  grpc::ServerUnaryReactor* RevokeBuffers(grpc::CallbackServerContext* context,
                                          const hlbuf::v1::RevokeBuffersRequest* request,
                                          hlbuf::v1::RevokeBuffersResponse* response) override;
  grpc::ServerUnaryReactor* RevokeHoldings(grpc::CallbackServerContext* context,
                                           const hlbuf::v1::RevokeHoldingsRequest* request,
                                           hlbuf::v1::RevokeHoldingsResponse* response) override;
  grpc::ServerUnaryReactor* DrainDevice(grpc::CallbackServerContext* context,
                                        const hlbuf::v1::DrainDeviceRequest* request,
                                        hlbuf::v1::DrainDeviceResponse* response) override;
  grpc::ServerUnaryReactor* UndrainDevice(grpc::CallbackServerContext* context,
                                          const hlbuf::v1::UndrainDeviceRequest* request,
                                          hlbuf::v1::Device* response) override;
  grpc::ServerUnaryReactor* PlanReset(grpc::CallbackServerContext* context,
                                      const hlbuf::v1::PlanResetRequest* request,
                                      hlbuf::v1::ResetPlan* response) override;
  grpc::ServerUnaryReactor* SimulateReset(grpc::CallbackServerContext* context,
                                          const hlbuf::v1::SimulateResetRequest* request,
                                          hlbuf::v1::SimulateResetResponse* response) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const hlbuf::v1::GetStatusRequest* request,
                                      hlbuf::v1::ServiceStatus* response) override;
  grpc::ServerUnaryReactor* GetMetrics(grpc::CallbackServerContext* context,
                                       const hlbuf::v1::GetMetricsRequest* request,
                                       hlbuf::v1::GetMetricsResponse* response) override;
  grpc::ServerWriteReactor<hlbuf::v1::WatchEventsResponse>* WatchEvents(
      grpc::CallbackServerContext* context, const hlbuf::v1::WatchEventsRequest* request) override;

 private:
  struct Admission {
    Caller caller;
    CallerQuota::Slot slot;
  };
  // Errors: those of Callers::Find(), SHUTTING_DOWN, QUOTA_EXCEEDED.
  absl::StatusOr<Admission> Admit(const Asker& asker);
  // `answer`, on the broker thread: void(const Caller&, const std::shared_ptr<Reply>&).
  template <class Answer>
  grpc::ServerUnaryReactor* Serve(grpc::CallbackServerContext* context, Answer answer);
  // A question that is answered at once, by a function of listing.h.
  template <class Asked, class Request, class Response>
  grpc::ServerUnaryReactor* Ask(grpc::CallbackServerContext* context, const Request* request,
                                Response* response,
                                absl::StatusOr<Response> (*question)(Asked&, const Caller&,
                                                                     const Request&));

  Poster& poster_;
  Broker& broker_;
  const Callers& callers_;
  Watchers& watchers_;
  const ServiceReports reports_;
  Changes changes_;
  CallerQuota quota_;
  bool stopping_ = false;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_CONTROL_SERVICE_H_
