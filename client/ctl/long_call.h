// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_LONG_CALL_H_
#define HLBUF_CLIENT_CTL_LONG_CALL_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "client/ctl/connection.h"
#include "client/ctl/exit_code.h"
#include "client/ctl/stop_signals.h"

namespace hlbuf::ctl {

// No grace is longer, neither one that is asked for nor one that is configured.
inline constexpr absl::Duration kGraceMax = absl::Hours(1);

// How long the daemon may take for a request that holders are asked for.
template <class Request>
absl::Duration PatienceFor(const Request& request) {
  if (request.no_wait()) return kPatience;
  const absl::Duration grace =
      absl::Seconds(request.grace().seconds()) + absl::Nanoseconds(request.grace().nanos());
  return kPatience + (request.has_grace() ? grace : kGraceMax);
}

// A call that takes as long as holders do. SIGINT and SIGTERM end the waiting, and not what the
// daemon has begun: whoever sends one is told so.
class LongCall {
 public:
  // Before Connect(): threads that there are by then would take the signals.
  LongCall() : signals_(std::in_place) {}

  template <class Request, class Response>
  using Method = void (v1::Control::StubInterface::async_interface::*)(
      grpc::ClientContext*, const Request*, Response*, std::function<void(grpc::Status)>);

  template <class Request, class Response>
  grpc::Status Run(Stub& stub, Method<Request, Response> method, const Request& request,
                   absl::Duration patience, Response& response) {
    return Await(patience, [&](grpc::ClientContext& context, Done done) {
      (stub.async()->*method)(&context, &request, &response, std::move(done));
    });
  }
  // Says why Run() brought no answer. Does not return when it was a signal, by which this ends
  // then.
  ExitCode Conclude(const grpc::Status& status);

 private:
  using Done = std::function<void(grpc::Status)>;
  grpc::Status Await(absl::Duration patience,
                     const std::function<void(grpc::ClientContext&, Done)>& start);

  std::optional<StopSignals> signals_;
  int signal_ = 0;  // that came first
};

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_LONG_CALL_H_
