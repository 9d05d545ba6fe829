// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_HEALTH_PROBE_H_
#define HLBUF_DAEMON_CONTROL_HEALTH_PROBE_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server.h>

#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "daemon/base/poster.h"

namespace hlbuf {

// Asks gRPC's own health service whether servers of this process serve, over channels that need no
// descriptor and count against nobody. Broker thread.
class HealthProbe {
 public:
  using Done = absl::AnyInvocable<void(bool serve) &&>;

  // `poster` outlives this, which is destroyed before the servers.
  HealthProbe(Poster& poster, const std::vector<grpc::Server*>& servers);
  // Cancels what is being asked, and waits until gRPC has let go of it.
  ~HealthProbe();

  // `done` is called from the loop, when every server has answered that it serves, or one has not.
  // One question at a time. Without a deadline: whoever asks has one. Not after the shutdown of a
  // server: gRPC 1.51 crashes at a call within the process to one that accepts none any more.
  void Ask(Done done);

 private:
  struct Question;

  Poster& poster_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::shared_ptr<Question> question_;  // the last one
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_HEALTH_PROBE_H_
