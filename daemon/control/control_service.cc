// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/control_service.h"

#include <memory>
#include <utility>

#include "daemon/base/status_macros.h"
#include "daemon/control/listing.h"
#include "daemon/control/plan_to_proto.h"
#include "daemon/control/unary_call.h"
#include "daemon/control/watch_stream.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace v1 = hlbuf::v1;
namespace {

absl::Status Stopping() {
  return Error(ErrorCode::kShuttingDown, "the service ends; try again when it is back");
}

}  // namespace

absl::StatusOr<ControlService::Admission> ControlService::Admit(const Asker& asker) {
  if (stopping_) return Stopping();
  ASSIGN_OR_RETURN(Caller caller, callers_.Find(asker));
  ASSIGN_OR_RETURN(CallerQuota::Slot slot, quota_.Take(caller));
  return Admission{.caller = std::move(caller), .slot = std::move(slot)};
}

template <class Answer>
grpc::ServerUnaryReactor* ControlService::Serve(grpc::CallbackServerContext* context,
                                                Answer answer) {
  auto* const call = new UnaryCall(poster_);
  poster_.Post(
      [this, reply = call->MakeReply(), asker = Asker::Of(*context), answer = std::move(answer)] {
        absl::StatusOr<Admission> admission = Admit(asker);
        if (!admission.ok()) return reply->Send(admission.status());
        reply->Hold(std::move(admission->slot));
        answer(admission->caller, reply);
      });
  return call;
}

template <class Asked, class Request, class Response>
grpc::ServerUnaryReactor* ControlService::Ask(
    grpc::CallbackServerContext* context, const Request* request, Response* response,
    absl::StatusOr<Response> (*question)(Asked&, const Caller&, const Request&)) {
  return Serve(context, [this, request, response, question](const Caller& caller,
                                                            const std::shared_ptr<Reply>& reply) {
    absl::StatusOr<Response> answer = question(broker_, caller, *request);
    if (answer.ok()) *response = *std::move(answer);
    reply->Send(answer.status());
  });
}

grpc::ServerUnaryReactor* ControlService::ListDevices(grpc::CallbackServerContext* context,
                                                      const v1::ListDevicesRequest* request,
                                                      v1::ListDevicesResponse* response) {
  return Ask(context, request, response, &hlbuf::ListDevices);
}

grpc::ServerUnaryReactor* ControlService::GetDevice(grpc::CallbackServerContext* context,
                                                    const v1::GetDeviceRequest* request,
                                                    v1::Device* response) {
  return Ask(context, request, response, &hlbuf::GetDevice);
}

grpc::ServerUnaryReactor* ControlService::ListBuffers(grpc::CallbackServerContext* context,
                                                      const v1::ListBuffersRequest* request,
                                                      v1::ListBuffersResponse* response) {
  return Ask(context, request, response, &hlbuf::ListBuffers);
}

grpc::ServerUnaryReactor* ControlService::GetBuffer(grpc::CallbackServerContext* context,
                                                    const v1::GetBufferRequest* request,
                                                    v1::Buffer* response) {
  return Ask(context, request, response, &hlbuf::GetBuffer);
}

grpc::ServerUnaryReactor* ControlService::ListLeases(grpc::CallbackServerContext* context,
                                                     const v1::ListLeasesRequest* request,
                                                     v1::ListLeasesResponse* response) {
  return Ask(context, request, response, &hlbuf::ListLeases);
}

grpc::ServerUnaryReactor* ControlService::ListSessions(grpc::CallbackServerContext* context,
                                                       const v1::ListSessionsRequest* request,
                                                       v1::ListSessionsResponse* response) {
  return Ask(context, request, response, &hlbuf::ListSessions);
}

grpc::ServerUnaryReactor* ControlService::RevokeBuffers(grpc::CallbackServerContext* context,
                                                        const v1::RevokeBuffersRequest* request,
                                                        v1::RevokeBuffersResponse* response) {
  return Serve(context, [this, request, response](const Caller& caller,
                                                  const std::shared_ptr<Reply>& reply) {
    changes_.RevokeBuffers(caller, *request, *response, reply);
  });
}

grpc::ServerUnaryReactor* ControlService::RevokeHoldings(grpc::CallbackServerContext* context,
                                                         const v1::RevokeHoldingsRequest* request,
                                                         v1::RevokeHoldingsResponse* response) {
  return Serve(context, [this, request, response](const Caller& caller,
                                                  const std::shared_ptr<Reply>& reply) {
    changes_.RevokeHoldings(caller, *request, *response, reply);
  });
}

grpc::ServerUnaryReactor* ControlService::DrainDevice(grpc::CallbackServerContext* context,
                                                      const v1::DrainDeviceRequest* request,
                                                      v1::DrainDeviceResponse* response) {
  return Serve(context, [this, request, response](const Caller& caller,
                                                  const std::shared_ptr<Reply>& reply) {
    changes_.DrainDevice(caller, *request, *response, reply);
  });
}

grpc::ServerUnaryReactor* ControlService::UndrainDevice(grpc::CallbackServerContext* context,
                                                        const v1::UndrainDeviceRequest* request,
                                                        v1::Device* response) {
  return Serve(context, [this, request, response](const Caller& caller,
                                                  const std::shared_ptr<Reply>& reply) {
    changes_.UndrainDevice(caller, *request, *response, reply);
  });
}

grpc::ServerUnaryReactor* ControlService::PlanReset(grpc::CallbackServerContext* context,
                                                    const v1::PlanResetRequest* request,
                                                    v1::ResetPlan* response) {
  return Ask(context, request, response, &hlbuf::PlanReset);
}

grpc::ServerUnaryReactor* ControlService::SimulateReset(grpc::CallbackServerContext* context,
                                                        const v1::SimulateResetRequest* request,
                                                        v1::SimulateResetResponse* response) {
  return Serve(context, [this, request, response](const Caller& caller,
                                                  const std::shared_ptr<Reply>& reply) {
    changes_.SimulateReset(caller, *request, *response, reply);
  });
}

grpc::ServerUnaryReactor* ControlService::GetStatus(grpc::CallbackServerContext* context,
                                                    const v1::GetStatusRequest*,
                                                    v1::ServiceStatus* response) {
  return Serve(
      context, [this, response](const Caller& caller, const std::shared_ptr<Reply>& reply) {
        const absl::Status allowed = Require(Role::kViewer, caller, "see how the service is");
        if (allowed.ok()) *response = StatusOf(broker_, reports_.facts());
        reply->Send(allowed);
      });
}

grpc::ServerUnaryReactor* ControlService::GetMetrics(grpc::CallbackServerContext* context,
                                                     const v1::GetMetricsRequest*,
                                                     v1::GetMetricsResponse* response) {
  return Serve(context,
               [this, response](const Caller& caller, const std::shared_ptr<Reply>& reply) {
                 const absl::Status allowed = Require(Role::kViewer, caller, "read the metrics");
                 if (allowed.ok()) response->set_text(reports_.metrics());
                 reply->Send(allowed);
               });
}

grpc::ServerWriteReactor<v1::WatchEventsResponse>* ControlService::WatchEvents(
    grpc::CallbackServerContext* context, const v1::WatchEventsRequest* request) {
  auto* const stream = new WatchStream(poster_, watchers_);
  poster_.Post([this, stream, watch = stream->MakeWatch(), asker = Asker::Of(*context), request] {
    absl::StatusOr<Admission> admission = Admit(asker);
    if (!admission.ok()) return watch->End(admission.status());
    stream->Hold(std::move(admission->slot));
    const absl::Status known = CheckDevice(broker_, admission->caller, request->device());
    if (!known.ok()) return watch->End(known);
    const absl::Status begun = watchers_.Begin(watch, std::move(admission->caller), *request);
    if (!begun.ok()) watch->End(begun);
  });
  return stream;
}

void ControlService::Stop() {
  stopping_ = true;
  changes_.Stop(Stopping());
  watchers_.EndAll(Stopping());
}

}  // namespace hlbuf
