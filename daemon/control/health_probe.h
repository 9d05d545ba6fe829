// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_HEALTH_PROBE_H_
#define HLBUF_DAEMON_CONTROL_HEALTH_PROBE_H_

#include <grpcpp/server.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "daemon/base/poster.h"

namespace hlbuf {

// Asks gRPC's own health service whether servers of this process serve, over a connection of its
// own for each question, which counts against nobody and takes two descriptors of each server until
// it is answered. Not over gRPC's channels within a process: those of 1.51 may schedule the end of
// a call twice, which aborts the process. Not over one that stays: where gRPC uses poll(2), nobody
// reads it between two questions, and the server closes it for that. Broker thread.
class HealthProbe {
 public:
  using Done = absl::AnyInvocable<void(bool serve) &&>;

  // `poster` outlives this, which is destroyed before the servers.
  HealthProbe(Poster& poster, std::vector<grpc::Server*> servers)
      : poster_(poster), servers_(std::move(servers)) {}
  // Cancels what is being asked, and waits until gRPC has let go of it.
  ~HealthProbe();

  // `done` is called from the loop, when every server has answered, or could not be asked: whether
  // all serve. One question at a time. Without a deadline: whoever asks has one. Not after the
  // shutdown of a server, which takes no connections any more.
  void Ask(Done done);

 private:
  struct Question;

  Poster& poster_;
  const std::vector<grpc::Server*> servers_;
  std::shared_ptr<Question> question_;  // the last one
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_HEALTH_PROBE_H_
