// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/control_server.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_posix.h>
#include <sys/socket.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/control/grpc_log.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

constexpr int kReceiveBytesMax = 256 * 1024;
constexpr int kSendBytesMax = 4 * 1024 * 1024;
constexpr int kStreamsPerConnection = 64;
constexpr int kMetadataBytesMax = 16 * 1024;
constexpr int kHandshakeTimeoutMs = 5'000;
constexpr int kPingIntervalMinMs = 10'000;  // that a client has to keep
constexpr std::size_t kTransportBytesMax = 64 << 20;
// Of the calls that gRPC itself serves on threads (reflection), for each of the two servers; ours
// take none.
constexpr int kThreadsMax = 8;

enum WayIn { kLocal, kTcp, kWaysIn };

int Millis(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

// gRPC 1.51 reads the error queue of a connection in trouble, with room for control messages. A
// unix socket has none: what it reads is the peer's data, and any descriptors that came with it are
// installed and never closed, so that a peer could take all that the process may have. Where the
// kernel does not refuse them, gRPC's poll(2) engine helps, which knows no error queues.
bool KernelRefusesDescriptors() {
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return probe && RefuseDescriptors(probe.get());
}

// gRPC ends with the process, not with its last user: its shutdown waits for a poller of its own,
// which may take 10 s twice.
void KeepGrpc() {
  static const bool kept = [] {
    grpc_init();
    return true;
  }();
  static_cast<void>(kept);
}

void Limit(grpc::ServerBuilder& builder, const ControlSettings& settings) {
  builder.SetMaxReceiveMessageSize(kReceiveBytesMax);
  builder.SetMaxSendMessageSize(kSendBytesMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Millis(settings.keepalive_time));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Millis(settings.keepalive_timeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kPingIntervalMinMs);
  grpc::ResourceQuota quota("hl-bufd control");
  quota.Resize(kTransportBytesMax);
  quota.SetMaxThreads(kThreadsMax);
  builder.SetResourceQuota(quota);
}

void SayThatItServes(grpc::Server& server) {
  server.GetHealthCheckService()->SetServingStatus(
      std::string(hlbuf::v1::Control::service_full_name()), true);
}

// Null: gRPC could not.
std::unique_ptr<grpc::Server> Build(ControlService& service, const ControlSettings& settings) {
  grpc::ServerBuilder builder;
  Limit(builder, settings);
  builder.RegisterService(&service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server != nullptr) SayThatItServes(*server);
  return server;
}

}  // namespace

void ControlServer::PrepareProcess() {
  static const bool prepared =
      KernelRefusesDescriptors() || ::setenv("GRPC_POLL_STRATEGY", "poll", 1) == 0;
  static_cast<void>(prepared);
}

ControlServer::ControlServer(Broker& broker, EventLoop& loop, const Clock& clock, EventFeed& feed,
                             Identify identify, ServiceReports reports,
                             const ControlSettings& settings)
    : broker_(broker),
      loop_(loop),
      clock_(clock),
      identify_(std::move(identify)),
      settings_(settings),
      roles_(settings.roles),
      refusals_(clock, {.burst = 8, .interval = absl::Seconds(1)}, kWaysIn),
      connections_(loop, settings.window, settings.connections),
      watchers_(feed, clock, deadlines_),
      service_(loop, broker, callers_, watchers_, std::move(reports), settings.calls) {}

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Start(
    Broker& broker, EventLoop& loop, const Clock& clock, EventFeed& feed, UniqueFd listener,
    Identify identify, ServiceReports reports, ControlSettings settings) {
  PrepareProcess();
  static_cast<void>(RefuseDescriptors(listener.get()));  // where it can be done
  TakeGrpcLog();
  KeepGrpc();
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  std::unique_ptr<ControlServer> server(new ControlServer(
      broker, loop, clock, feed, std::move(identify), std::move(reports), settings));
  ControlServer* const self = server.get();
  ASSIGN_OR_RETURN(
      std::unique_ptr<ControlAcceptor> acceptor,
      ControlAcceptor::Start(
          loop, clock, self->deadlines_, std::move(listener),
          [self](UniqueFd socket) { self->Accept(std::move(socket)); },
          [self] { self->TellRefused({}, 0, "no file descriptor is left; raise LimitNOFILE="); }));
  for (std::unique_ptr<grpc::Server>* one : {&self->server_, &self->roleless_server_}) {
    *one = Build(self->service_, settings);
    if (*one == nullptr) return absl::InternalError("gRPC could not start its server");
  }
  self->probe_ = std::make_unique<HealthProbe>(
      loop, std::vector<grpc::Server*>{self->server_.get(), self->roleless_server_.get()});
  self->acceptor_ = std::move(acceptor);
  return server;
}

ControlServer::~ControlServer() {
  if (roleless_server_ == nullptr) return;
  if (!stopper_.joinable()) Stop(absl::ZeroDuration(), [] {});
  while (!stopped_) {  // only where the loop has not run until Stop() was done
    loop_.RunPosted();
    std::this_thread::yield();
  }
  stopper_.join();
}

void ControlServer::Accept(UniqueFd socket) {
  absl::StatusOr<Peer> peer = identify_(socket.get());
  if (!peer.ok()) return TellRefused({}, 0, peer.status().message());
  const Domain domain = peer->domain();
  const pid_t pid = peer->pid;
  const Role role = RoleOf(*peer, roles_);
  absl::StatusOr<UniqueFd> fd =
      connections_.Admit(std::move(socket), {.peer = *std::move(peer), .role = role});
  if (!fd.ok()) return TellRefused(domain, pid, fd.status().message());
  grpc::Server& server = role == Role::kNone ? *roleless_server_ : *server_;
  grpc::AddInsecureChannelFromFd(&server, fd->Release());
}

void ControlServer::SetRoles(RoleGroups roles) {
  roles_ = std::move(roles);
  connections_.SetRoles([this](const Peer& peer) { return RoleOf(peer, roles_); });
}

void ControlServer::SetCertificateRoles(CertificateRoles roles) {
  callers_.SetCertificateRoles(std::move(roles));
}

absl::Status ControlServer::ListenTcp(UniqueFd listener, TlsTexts tls) {
  if (stopper_.joinable()) return Error(ErrorCode::kShuttingDown, "the service ends");
  grpc::ServerBuilder builder;
  Limit(builder, settings_);
  builder.RegisterService(&service_);
  ASSIGN_OR_RETURN(tcp_,
                   TcpControl::Start(loop_, clock_, deadlines_, std::move(listener), std::move(tls),
                                     builder, settings_.window, settings_.tcp_connections,
                                     [this](absl::string_view address, absl::string_view why) {
                                       TellRefusedOverTcp(address, why);
                                     }));
  SayThatItServes(tcp_->server());
  return absl::OkStatus();
}

std::vector<grpc::Server*> ControlServer::Servers() {
  std::vector<grpc::Server*> servers = {server_.get(), roleless_server_.get()};
  if (tcp_ != nullptr) servers.push_back(&tcp_->server());
  return servers;
}

void ControlServer::Probe(HealthProbe::Done done) {
  if (!stopper_.joinable()) return probe_->Ask(std::move(done));
  loop_.Post([done = std::move(done)]() mutable { std::move(done)(false); });
}

void ControlServer::TellRefused(const Domain& domain, pid_t pid, absl::string_view why) {
  if (!refusals_.Admit(kLocal)) return;
  broker_.Tell({.kind = EventKind::kRequestRefused,
                .domain = domain,
                .pid = pid,
                .text = absl::StrCat("control connection: ", why)});
}

// Counted apart: what comes from a network does not hide what happens here.
void ControlServer::TellRefusedOverTcp(absl::string_view address, absl::string_view why) {
  if (!refusals_.Admit(kTcp)) return;
  broker_.Tell({.kind = EventKind::kRequestRefused,
                .text = absl::StrCat("control connection from ", address, ": ", why)});
}

void ControlServer::Stop(absl::Duration patience, absl::AnyInvocable<void() &&> done) {
  acceptor_.reset();
  if (tcp_ != nullptr) tcp_->StopAccepting();
  for (grpc::Server* server : Servers()) server->GetHealthCheckService()->Shutdown();
  service_.Stop();
  // Not on this thread: open calls need it to be answered.
  stopper_ = std::thread([this, servers = Servers(), patience, done = std::move(done)]() mutable {
    const auto deadline = absl::ToChronoTime(absl::Now() + patience);
    for (grpc::Server* server : servers) {
      server->Shutdown(deadline);
      server->Wait();
    }
    loop_.Post([this, done = std::move(done)]() mutable {
      stopped_ = true;
      std::move(done)();
    });
  });
}

}  // namespace hlbuf
