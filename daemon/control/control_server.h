// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_CONTROL_SERVER_H_
#define HLBUF_DAEMON_CONTROL_CONTROL_SERVER_H_

#include <grpcpp/server.h>

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/base/clock.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/rate_limit.h"
#include "daemon/control/callers.h"
#include "daemon/control/control_acceptor.h"
#include "daemon/control/control_connections.h"
#include "daemon/control/control_service.h"
#include "daemon/control/event_feed.h"
#include "daemon/control/health_probe.h"
#include "daemon/control/role.h"
#include "daemon/control/tcp_control.h"
#include "daemon/control/watchers.h"
#include "daemon/core/broker.h"
#include "daemon/core/deadlines.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

struct ControlSettings {
  RoleGroups roles;
  FdWindow window = FdWindow::UpperHalf();
  // A connection takes two descriptors.
  CallerQuota::Limits connections = {.uid = 32, .all = 64};
  // Watchers are calls, too. Each may have one response of up to about 300 kB on its way. A call
  // may have the broker thread look at a page of records: those that anybody can make are few.
  CallerQuota::Limits calls = {.uid = 128, .all = 512, .uid_without_role = 8};
  // Those over TCP, which come on top: `uid` is for each address.
  CallerQuota::Limits tcp_connections = {.uid = 8, .all = 16, .keeps_quarter = false};
  // A connection that says nothing for `keepalive_time` is asked, and closed when it does not
  // answer within `keepalive_timeout`.
  absl::Duration keepalive_time = absl::Seconds(30);
  absl::Duration keepalive_timeout = absl::Seconds(10);
};

// The control API on a unix socket, and over TCP if wanted: hlbuf.v1.Control, grpc.health.v1 and
// server reflection. Who sees what is decided by role; health and reflection are everybody's.
//
// gRPC serves reflection on a few threads of a server's own, and a call has one of them for as long
// as its caller likes. Hence two servers with the same services: callers without a role, who can be
// anybody, take no thread from those who have one. What is over TCP has a third one.
//
// Broker thread. Destroyed while the loop runs, Stop() must have finished; where the loop does not
// run, all calls are cut.
class ControlServer {
 public:
  // Asks the kernel about the other end of an accepted socket.
  using Identify = absl::AnyInvocable<absl::StatusOr<Peer>(int socket)>;

  // Before the process has a second thread: it may have to change the environment, which is how
  // gRPC is told not to take descriptors that peers send. Start() catches up on it.
  static void PrepareProcess();

  // `listener` is a listening SOCK_STREAM socket. All references outlive the server.
  static absl::StatusOr<std::unique_ptr<ControlServer>> Start(Broker& broker, EventLoop& loop,
                                                              const Clock& clock, EventFeed& feed,
                                                              UniqueFd listener, Identify identify,
                                                              ServiceReports reports,
                                                              ControlSettings settings);
  ~ControlServer();

  // Holds for calls that come from now on, of connections that there are, too.
  void SetRoles(RoleGroups roles);
  // The same over TCP. Until then nobody has a role there.
  void SetCertificateRoles(CertificateRoles roles);
  // Takes connections over TCP as well, of a listening socket. It listens to one at the most.
  absl::Status ListenTcp(UniqueFd listener, TlsTexts tls);
  // Null: it does not listen.
  TcpControl* tcp() { return tcp_.get(); }
  // Whether both servers answer that they serve; `done` is called from the loop. One at a time.
  void Probe(HealthProbe::Done done);

  // Accepts nobody any more, ends watchers and waiting calls with SHUTTING_DOWN, and cuts what is
  // left after `patience`. `done` is called from the loop, which must run until then.
  void Stop(absl::Duration patience, absl::AnyInvocable<void() &&> done);

  absl::Time NextDeadline() const { return deadlines_.Next(); }
  void RunDeadlines() { deadlines_.Run(clock_.Now()); }

  const ControlConnections& connections() const { return connections_; }
  std::size_t watcher_count() const { return watchers_.size(); }

 private:
  ControlServer(Broker& broker, EventLoop& loop, const Clock& clock, EventFeed& feed,
                Identify identify, ServiceReports reports, const ControlSettings& settings);
  void Accept(UniqueFd socket);
  void TellRefused(const Domain& domain, pid_t pid, absl::string_view why);
  void TellRefusedOverTcp(absl::string_view address, absl::string_view why);
  std::vector<grpc::Server*> Servers();

  Broker& broker_;
  EventLoop& loop_;
  const Clock& clock_;
  Identify identify_;
  const ControlSettings settings_;
  RoleGroups roles_;
  Deadlines deadlines_;
  RateLimit<int> refusals_;
  ControlConnections connections_;
  Callers callers_{connections_};
  Watchers watchers_;
  ControlService service_;
  std::unique_ptr<grpc::Server> server_;           // of callers with a role
  std::unique_ptr<grpc::Server> roleless_server_;  // of all others
  std::unique_ptr<TcpControl> tcp_;
  std::unique_ptr<HealthProbe> probe_;
  std::unique_ptr<ControlAcceptor> acceptor_;
  std::thread stopper_;
  bool stopped_ = false;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_CONTROL_SERVER_H_
