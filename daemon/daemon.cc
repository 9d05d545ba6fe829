// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/log.h"
#include "daemon/base/status_macros.h"
#include "daemon/config_warnings.h"
#include "daemon/control/control_server.h"
#include "daemon/control_tcp.h"
#include "daemon/core/broker.h"
#include "daemon/core/enforcement.h"
#include "daemon/device/make_backends.h"
#include "daemon/event_log_feed.h"
#include "daemon/inheritance.h"
#include "daemon/listen.h"
#include "daemon/may_signal.h"
#include "daemon/namespaces.h"
#include "daemon/notify_socket.h"
#include "daemon/observe/audit.h"
#include "daemon/observe/event_log.h"
#include "daemon/observe/losses.h"
#include "daemon/observe/metrics.h"
#include "daemon/observe/refusal_limit.h"
#include "daemon/passed_descriptors.h"
#include "daemon/readiness.h"
#include "daemon/service_facts.h"
#include "daemon/session/listener.h"
#include "daemon/session/peer_identity.h"
#include "daemon/settings_of.h"
#include "daemon/watchdog.h"
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

// Everyone may connect to the control socket: the role decides.
constexpr mode_t kControlMode = 0666;
// For calls that are in progress when the service stops.
constexpr absl::Duration kControlPatience = absl::Seconds(2);
// For clients that have not read yet what comes before their GOODBYE.
constexpr absl::Duration kClientsPatience = absl::Milliseconds(500);
// For the service manager to read what it was told.
constexpr absl::Duration kManagerPatience = absl::Seconds(1);
// For devices to say what became of them, before clients are listened to all the same.
constexpr absl::Duration kRestorePatience = absl::Seconds(5);

// How long the service manager waits for a sign of life; for ever if it waits for none.
absl::Duration WatchdogPatience() {
  std::uint64_t micros = 0;
  if (::sd_watchdog_enabled(/*unset_environment=*/0, &micros) <= 0) return absl::InfiniteDuration();
  return absl::Microseconds(micros);
}

absl::StatusOr<Peer> PeerAt(int socket) {
  ASSIGN_OR_RETURN(PeerIdentity identity, IdentifyPeer(socket));
  return std::move(identity.peer);
}

void SayWarnings(const Config& config) {
  const MeansToSignal means = {.other_users = MaySignalOthers(),
                               .vouched_clients = KernelVouchesForPeers()};
  for (const std::string& warning : WarningsOf(config, means)) Log(LogLevel::kWarning, warning);
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
  Daemon(const Config& config, ConfigSource source, EventLoop& loop)
      : loop_(loop),
        events_(static_cast<std::uint64_t>(absl::ToUnixMicros(absl::Now()))),
        audit_(events_, clock_, config.log_level),
        metrics_(events_),
        losses_(events_),
        feed_(events_),
        limited_(events_, clock_),
        witness_(config.sockets.holders, loop, clock_),
        notify_(clock_),
        inheritance_(
            loop, clock_, notify_,
            [this](EventKind kind, const std::string& text) {
              broker_.Tell({.kind = kind, .text = text});
            },
            [this](bool counting) { readiness_.AwaitCount(counting); }),
        broker_(SettingsOf(config), PolicyOf(config), clock_, limited_, &witness_,
                inheritance_.journal(), inheritance_.page()),
        readiness_(events_, broker_, loop, clock_,
                   [this](const std::string& lines) { notify_.Send(lines).IgnoreError(); }),
        watchdog_(
            WatchdogPatience(), loop, clock_,
            [this](HealthProbe::Done answered) { control_->Probe(std::move(answered)); },
            [this](const std::string& lines) { notify_.Send(lines).IgnoreError(); }),
        reload_(loop, readiness_, config, std::move(source),
                [this](const Config& read) { Apply(read); }) {}

  absl::Status Start(PassedDescriptors passed);
  void OnSignal(int signal);
  void SayWhatItIs() const;
  // The loop has ended: what is to be kept for the next process has to get there.
  void Finish() { notify_.Finish(kManagerPatience); }

 private:
  ServiceFacts Facts() const;
  absl::Status AddDevices();
  absl::Status Serve(UniqueFd clients, UniqueFd control);
  void TellOfTcp(const absl::Status& served);
  absl::Status ArmTimer();
  const Config& config() const { return reload_.running(); }
  void Apply(const Config& read);
  void Stop(int signal);
  void OnStopped();

  EventLoop& loop_;
  BootClock clock_;
  const absl::Time started_ = clock_.Now();
  Syscalls syscalls_;
  EventLog events_;
  Audit audit_;
  Metrics metrics_;
  Losses losses_;
  EventLogFeed feed_;
  RefusalLimit limited_;
  SocketWitness witness_;
  NotifySocket notify_;
  Inheritance inheritance_;
  Broker broker_;
  Readiness readiness_;
  Watchdog watchdog_;
  Reload reload_;
  SocketFile client_file_;
  SocketFile control_file_;
  std::unique_ptr<Listener> clients_;
  std::unique_ptr<ControlServer> control_;
  bool stopping_ = false;
  int serving_ = 2;  // clients and control
};

absl::Status Daemon::AddDevices() {
  const TellOfKeeper tell = [this](EventKind kind, const std::string& device,
                                   const std::string& text) {
    loop_.Post([this, kind, device, text] {
      broker_.Tell({.kind = kind, .device = device, .text = text});
    });
  };
  std::vector<NewDevice> devices;
  for (const DeviceConfig& device : config().devices) {
    ASSIGN_OR_RETURN(std::unique_ptr<Backend> backend,
                     MakeBackend(device, loop_, syscalls_, &inheritance_.keepers(), tell));
    devices.push_back({.name = device.name, .backend = std::move(backend)});
  }
  if (inheritance_.journal().is_open()) {
    Kept kept = inheritance_.TakeKept();
    const std::size_t buffers = kept.buffers.size(), leases = kept.leases.size();
    if (buffers > 0)
      Log(LogLevel::kNotice, absl::StrCat("going on with ", buffers, " buffers and ", leases,
                                          " leases of an earlier process"));
    broker_.Restore(std::move(kept), std::move(devices));
    return absl::OkStatus();
  }
  for (NewDevice& device : devices)
    broker_.AddDevice(std::move(device.name), std::move(device.backend));
  return absl::OkStatus();
}

absl::Status Daemon::ArmTimer() {
  return loop_.SetTimer(
      [this] {
        return std::min({broker_.NextDeadline(), inheritance_.NextDeadline(),
                         witness_.NextDeadline(), readiness_.NextDeadline(),
                         watchdog_.NextDeadline(), notify_.NextDeadline(), clients_->NextDeadline(),
                         control_->NextDeadline()});
      },
      [this] {
        broker_.RunDeadlines();
        witness_.RunDeadlines();
        readiness_.RunDeadlines();
        watchdog_.RunDeadlines();
        notify_.RunDeadlines();
        inheritance_.RunDeadlines();
        clients_->RunDeadlines();
        control_->RunDeadlines();
      });
}

absl::Status Daemon::Start(PassedDescriptors passed) {
  const SocketsConfig& sockets = config().sockets;
  ASSIGN_OR_RETURN(ListeningSocket clients, Listen({.name = "clients",
                                                    .key = "sockets.client",
                                                    .path = sockets.client,
                                                    .type = SOCK_SEQPACKET,
                                                    .mode = sockets.client_mode,
                                                    .group = sockets.clients_gid},
                                                   passed));
  client_file_ = std::move(clients.file);
  ASSIGN_OR_RETURN(ListeningSocket control, Listen({.name = "control",
                                                    .key = "sockets.control",
                                                    .path = sockets.control,
                                                    .type = SOCK_STREAM,
                                                    .mode = kControlMode,
                                                    .group = std::nullopt},
                                                   passed));
  control_file_ = std::move(control.file);
  RETURN_IF_ERROR(inheritance_.Open(config(), std::move(passed)));
  RETURN_IF_ERROR(AddDevices());
  return Serve(std::move(clients.socket), std::move(control.socket));
}

absl::Status Daemon::Serve(UniqueFd clients, UniqueFd control) {
  ASSIGN_OR_RETURN(clients_,
                   Listener::Start(broker_, loop_, clock_, std::move(clients),
                                   SessionTimingOf(config()), inheritance_.page().read_only()));
  // Their descriptors have to be back before clients ask for them.
  clients_->Hold();
  broker_.WhenRestored(kRestorePatience, [this] { clients_->Continue(); });
  ASSIGN_OR_RETURN(control_,
                   ControlServer::Start(broker_, loop_, clock_, feed_, std::move(control), PeerAt,
                                        {.metrics = [this] { return metrics_.Text(broker_); },
                                         .facts = [this] { return Facts(); }},
                                        ControlSettingsOf(config())));
  ControlTcpConfig tcp = config().control_tcp;
  const absl::Status read = ReadTls(tcp);
  TellOfTcp(read.ok() ? ServeTcp(tcp, *control_) : read);
  return ArmTimer();
}

ServiceFacts Daemon::Facts() const {
  ServiceFacts facts = FactsOf(config(), inheritance_.journal(), inheritance_.stored());
  facts.life = events_.life();
  facts.started = started_;
  facts.losses = losses_.All();
  return facts;
}

// What is wrong with the network, or with a certificate, is no reason to let clients down.
void Daemon::TellOfTcp(const absl::Status& served) {
  if (served.ok()) return readiness_.SetTrouble("");
  const std::string trouble = absl::StrCat("there is no control API over TCP: ", served.message());
  Log(LogLevel::kError, absl::StrCat(trouble, "; mend that and reload the service"));
  readiness_.SetTrouble(trouble);
}

void Daemon::Apply(const Config& read) {
  SetLogLevel(read.log_level);
  audit_.set_level(read.log_level);
  broker_.Reconfigure(PolicyOf(read), SettingsOf(read));
  clients_->SetTiming(SessionTimingOf(read));
  control_->SetRoles(RolesOf(read));
  // Not read: it stays as it is until a restart.
  if (read.control_tcp.tls != TlsTexts()) TellOfTcp(ServeTcp(read.control_tcp, *control_));
  SayWarnings(read);
  SayWhatIsEnforced(read.enforcement);
}

void Daemon::SayWhatItIs() const {
  Log(LogLevel::kInfo, Describe(config().caps));
  SayWarnings(config());
  SayWhatIsEnforced(config().enforcement);
  const bool simulated =
      std::all_of(config().devices.begin(), config().devices.end(),
                  [](const DeviceConfig& device) { return device.kind == "software"; });
  if (simulated)
    Log(LogLevel::kNotice,
        "there is only a software device: buffers are memfds in host memory, not dma-bufs of an "
        "accelerator");
  if (InOwnPidNamespace())
    Log(LogLevel::kNotice,
        "this service has a pid namespace of its own: clients outside of it show no process, so "
        "they are nobody, have no unit or container, and get nothing");
  Log(LogLevel::kInfo, absl::StrCat("clients connect to ", config().sockets.client,
                                    ", operators to ", config().sockets.control));
}

void Daemon::OnSignal(int signal) {
  if (signal != SIGHUP) return Stop(signal);
  if (!stopping_) reload_.Request();
}

void Daemon::Stop(int signal) {
  if (std::exchange(stopping_, true)) return;
  Log(LogLevel::kInfo, absl::StrCat("stopping on ", ::strsignal(signal)));
  readiness_.TellStopping();
  watchdog_.Rest();
  // Who comes now is told at once that nobody is there, instead of waiting in a backlog.
  client_file_.Remove();
  control_file_.Remove();
  const bool kept = inheritance_.journal().keeps();
  if (kept) broker_.Suspend();
  clients_->Shutdown(kept ? "the service stops; what you have is kept for you"
                          : "the service stops; leases end now",
                     kept ? Listener::Leases::kKept : Listener::Leases::kEnd, kClientsPatience,
                     [this] { OnStopped(); });
  control_->Stop(kControlPatience, [this] { OnStopped(); });
}

void Daemon::OnStopped() {
  if (--serving_ == 0) loop_.Exit();
}

}  // namespace

absl::Status RunDaemon(const Config& config, ConfigSource source) {
  // A peer or a reader of stderr that is gone is an error of a write, not the end of the service.
  std::signal(SIGPIPE, SIG_IGN);
  ControlServer::PrepareProcess();
  SetLogLevel(config.log_level);
  ASSIGN_OR_RETURN(PassedDescriptors passed, PassedDescriptors::Adopt());
  RETURN_IF_ERROR(RaiseNofile(config.caps.nofile));
  ASSIGN_OR_RETURN(const std::unique_ptr<EventLoop> loop, EventLoop::Create());
  std::unique_ptr<Daemon> daemon;
  RETURN_IF_ERROR(
      loop->AddSignals({SIGTERM, SIGINT, SIGHUP}, [&](int signal) { daemon->OnSignal(signal); }));
  daemon = std::make_unique<Daemon>(config, std::move(source), *loop);
  RETURN_IF_ERROR(daemon->Start(std::move(passed)));
  daemon->SayWhatItIs();
  const absl::Status ran = loop->Run();
  loop->RunPosted();
  daemon->Finish();
  return ran;
}

}  // namespace hlbuf
