// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.h"

#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/log.h"
#include "daemon/base/status_macros.h"
#include "daemon/config_warnings.h"
#include "daemon/control/control_server.h"
#include "daemon/core/broker.h"
#include "daemon/core/enforcement.h"
#include "daemon/device/make_backends.h"
#include "daemon/event_log_feed.h"
#include "daemon/may_signal.h"
#include "daemon/observe/audit.h"
#include "daemon/observe/event_log.h"
#include "daemon/observe/metrics.h"
#include "daemon/observe/refusal_limit.h"
#include "daemon/readiness.h"
#include "daemon/session/listen_at.h"
#include "daemon/session/listener.h"
#include "daemon/session/peer_identity.h"
#include "daemon/witness/socket_witness.h"

namespace hlbuf {
namespace {

// Buffers are descriptors: the soft limit of 1,024 that shells and services start with would be the
// first to be met.
absl::Status RaiseNofile(std::uint64_t nofile) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return absl::ErrnoToStatus(errno, "getrlimit");
  limit.rlim_cur = std::min<rlim_t>(nofile, limit.rlim_max);
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    return absl::ErrnoToStatus(errno, "raise RLIMIT_NOFILE to its hard limit");
  return absl::OkStatus();
}

absl::StatusOr<ListeningSocket> Listen(const std::string& path, int type, mode_t mode,
                                       std::optional<gid_t> group) {
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  std::error_code error;
  // Clients pass through it, whatever the umask is; the socket's own mode says who may connect.
  const mode_t before = ::umask(0022);
  std::filesystem::create_directories(directory, error);
  ::umask(before);
  if (error)
    return absl::UnavailableError(
        absl::StrCat("create ", directory.string(), ": ", error.message()));
  return ListenAt(path, type, mode, group);
}

std::uint64_t Random() {
  std::uint64_t random = 0;
  // It gives so few bytes whole. Where a sandbox forbids the call, ids are only easier to guess.
  if (::getrandom(&random, sizeof(random), 0) == sizeof(random)) return random;
  return static_cast<std::uint64_t>(::getpid());
}

BrokerSettings SettingsOf(const Config& config) {
  const std::uint64_t first_id = FirstId(absl::ToUnixMicros(absl::Now()), Random());
  return {.limits = config.caps.limits,
          .default_device = config.default_device,
          .operator_grace = config.timing.operator_grace,
          .reset_grace = config.timing.reset_grace,
          .enforcement = config.enforcement,
          .first_id = first_id,
          .first_epoch = FirstEpoch(first_id)};
}

Policy PolicyOf(const Config& config) {
  return Policy(config.rules,
                {.clients_gid = config.sockets.clients_gid, .service_uid = ::geteuid()});
}

// Everyone may connect to the control socket: the role decides.
constexpr mode_t kControlMode = 0666;
// For calls that are in progress when the service stops.
constexpr absl::Duration kControlPatience = absl::Seconds(2);
// For clients that have not read yet what comes before their GOODBYE.
constexpr absl::Duration kClientsPatience = absl::Milliseconds(500);

ControlSettings ControlSettingsOf(const Config& config) {
  ControlSettings settings;
  settings.roles = {.viewer = config.roles.viewer,
                    .operators = config.roles.operators,
                    .admin = config.roles.admin,
                    .service_uid = ::geteuid()};
  settings.connections.all = config.caps.control_connections;
  settings.connections.uid = settings.connections.all / 2;
  return settings;
}

absl::StatusOr<Peer> PeerAt(int socket) {
  ASSIGN_OR_RETURN(PeerIdentity identity, IdentifyPeer(socket));
  return std::move(identity.peer);
}

void SayWhatIsEnforced(const EnforcementSettings& enforcement) {
  if (enforcement.resets == Force::kNone && enforcement.revocations == Force::kNone) return;
  Log(LogLevel::kNotice,
      absl::StrCat("clients that do not let go are sent, at the worst: by a reset ",
                   ForceText(enforcement.resets), ", by an operator ",
                   ForceText(enforcement.revocations)));
}

class Daemon {
 public:
  Daemon(const Config& config, EventLoop& loop)
      : config_(config),
        loop_(loop),
        events_(static_cast<std::uint64_t>(absl::ToUnixMicros(absl::Now()))),
        audit_(events_, clock_, config.log_level),
        metrics_(events_),
        feed_(events_),
        limited_(events_, clock_),
        witness_(config.sockets.holders, loop, clock_),
        broker_(SettingsOf(config), PolicyOf(config), clock_, limited_, &witness_),
        readiness_(events_, broker_, loop, clock_,
                   [](const std::string& lines) { ::sd_notify(0, lines.c_str()); }) {}

  absl::Status Start();
  void Stop(int signal);
  void SayWhatItIs() const;

 private:
  absl::Status AddDevices();
  absl::Status ArmTimer();
  void OnStopped();

  const Config& config_;
  EventLoop& loop_;
  BootClock clock_;
  Syscalls syscalls_;
  EventLog events_;
  Audit audit_;
  Metrics metrics_;
  EventLogFeed feed_;
  RefusalLimit limited_;
  SocketWitness witness_;
  Broker broker_;
  Readiness readiness_;
  SocketFile client_file_;
  SocketFile control_file_;
  std::unique_ptr<Listener> clients_;
  std::unique_ptr<ControlServer> control_;
  bool stopping_ = false;
  int serving_ = 2;  // clients and control
};

absl::Status Daemon::AddDevices() {
  for (const DeviceConfig& device : config_.devices) {
    ASSIGN_OR_RETURN(std::unique_ptr<Backend> backend, MakeBackend(device, loop_, syscalls_));
    broker_.AddDevice(device.name, std::move(backend));
  }
  return absl::OkStatus();
}

absl::Status Daemon::ArmTimer() {
  return loop_.SetTimer(
      [this] {
        return std::min({broker_.NextDeadline(), witness_.NextDeadline(), readiness_.NextDeadline(),
                         clients_->NextDeadline(), control_->NextDeadline()});
      },
      [this] {
        broker_.RunDeadlines();
        witness_.RunDeadlines();
        readiness_.RunDeadlines();
        clients_->RunDeadlines();
        control_->RunDeadlines();
      });
}

absl::Status Daemon::Start() {
  RETURN_IF_ERROR(AddDevices());
  const SocketsConfig& sockets = config_.sockets;
  ASSIGN_OR_RETURN(ListeningSocket clients, Listen(sockets.client, SOCK_SEQPACKET,
                                                   sockets.client_mode, sockets.clients_gid));
  client_file_ = std::move(clients.file);
  ASSIGN_OR_RETURN(clients_, Listener::Start(broker_, loop_, clock_, std::move(clients.socket),
                                             {.hello_timeout = config_.timing.hello_timeout,
                                              .ping_interval = config_.timing.ping_interval}));
  ASSIGN_OR_RETURN(ListeningSocket control,
                   Listen(sockets.control, SOCK_STREAM, kControlMode, std::nullopt));
  control_file_ = std::move(control.file);
  ASSIGN_OR_RETURN(control_,
                   ControlServer::Start(
                       broker_, loop_, clock_, feed_, std::move(control.socket), PeerAt,
                       [this] { return metrics_.Text(broker_); }, ControlSettingsOf(config_)));
  return ArmTimer();
}

void Daemon::SayWhatItIs() const {
  Log(LogLevel::kInfo, Describe(config_.caps));
  for (const std::string& warning : WarningsOf(
           config_, {.other_users = MaySignalOthers(), .vouched_clients = KernelVouchesForPeers()}))
    Log(LogLevel::kWarning, warning);
  SayWhatIsEnforced(config_.enforcement);
  const bool simulated =
      std::all_of(config_.devices.begin(), config_.devices.end(),
                  [](const DeviceConfig& device) { return device.kind == "software"; });
  if (simulated)
    Log(LogLevel::kNotice,
        "there is only a software device: buffers are memfds in host memory, not dma-bufs of an "
        "accelerator");
  Log(LogLevel::kInfo, absl::StrCat("clients connect to ", config_.sockets.client,
                                    ", operators to ", config_.sockets.control));
}

void Daemon::Stop(int signal) {
  if (std::exchange(stopping_, true)) return;
  Log(LogLevel::kInfo, absl::StrCat("stopping on ", ::strsignal(signal)));
  ::sd_notify(0, "STOPPING=1");
  // Who comes now is told at once that nobody is there, instead of waiting in a backlog.
  client_file_.Remove();
  control_file_.Remove();
  clients_->Shutdown("the service stops; leases end now", kClientsPatience,
                     [this] { OnStopped(); });
  control_->Stop(kControlPatience, [this] { OnStopped(); });
}

void Daemon::OnStopped() {
  if (--serving_ == 0) loop_.Exit();
}

}  // namespace

absl::Status RunDaemon(const Config& config) {
  // A peer or a reader of stderr that is gone is an error of a write, not the end of the service.
  std::signal(SIGPIPE, SIG_IGN);
  ControlServer::PrepareProcess();
  SetLogLevel(config.log_level);
  RETURN_IF_ERROR(RaiseNofile(config.caps.nofile));
  ASSIGN_OR_RETURN(const std::unique_ptr<EventLoop> loop, EventLoop::Create());
  std::unique_ptr<Daemon> daemon;
  RETURN_IF_ERROR(loop->AddSignals({SIGTERM, SIGINT}, [&](int signal) { daemon->Stop(signal); }));
  daemon = std::make_unique<Daemon>(config, *loop);
  RETURN_IF_ERROR(daemon->Start());
  daemon->SayWhatItIs();
  const absl::Status ran = loop->Run();
  loop->RunPosted();
  return ran;
}

}  // namespace hlbuf
