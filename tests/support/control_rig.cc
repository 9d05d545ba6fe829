// SPDX-License-Identifier: Apache-2.0
#include "tests/support/control_rig.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <future>

#include "absl/strings/str_cat.h"
#include "daemon/device/make_backends.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kLife = 0xa11fe;

UniqueFd Listen(const std::string& path) {
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(::listen(listener.get(), 4096), 0);
  return listener;
}

Peer Member(uid_t uid, gid_t gid) { return {.uid = uid, .gid = gid, .pid = 4000}; }

BrokerSettings NoLimits() {
  BrokerSettings settings;
  settings.limits.service.fill(kUnlimited);
  settings.limits.uid.fill(kUnlimited);
  settings.limits.domain.fill(kUnlimited);
  return settings;
}

}  // namespace

Peer ControlRig::User(uid_t uid, std::string container) {
  return {.uid = uid, .gid = uid, .pid = 4000, .container = std::move(container)};
}
Peer ControlRig::Viewer() { return Member(2001, kViewers); }
Peer ControlRig::Operator() { return Member(2002, kOperators); }
Peer ControlRig::Admin() { return Member(2003, kAdmins); }

ControlRig::ControlRig(ControlRigOptions options)
    : log_(kLife, options.events_kept), next_peer_(Admin()) {
  char directory[] = "/tmp/hlbuf-control-XXXXXX";
  directory_ = ::mkdtemp(directory);
  path_ = directory_ + "/control.sock";
  options.settings.roles = {.viewer = {kViewers}, .operators = {kOperators}, .admin = {kAdmins}};
  const Policy policy({{.name = "everybody", .allow = true, .verbs = {Verb::kAllocate}}}, {});
  broker_ = std::make_unique<Broker>(NoLimits(), policy, clock_, log_);
  broker_->AddDevice("software0",
                     *MakeBackend({.name = "software0", .size_bytes = 1 << 30, .drills = true},
                                  thread_.loop(), syscalls_));
  ControlServer::PrepareProcess();
  server_ = *ControlServer::Start(
      *broker_, thread_.loop(), clock_, feed_, Listen(path_),
      [this](int socket) {
        on_accept_(socket);
        return next_peer_;
      },
      {.metrics = [this] { return metrics_.Text(*broker_); }, .facts = [this] { return facts_; }},
      options.settings);
  const absl::Status timer = thread_.loop().SetTimer(
      [this] { return std::min(broker_->NextDeadline(), server_->NextDeadline()); },
      [this] {
        broker_->RunDeadlines();
        server_->RunDeadlines();
      });
  EXPECT_TRUE(timer.ok()) << timer;
  thread_.Start();
  EXPECT_TRUE(Until([this] { return broker_->devices().front()->state() == DeviceState::kReady; }));
}

ControlRig::~ControlRig() {
  EXPECT_TRUE(Stop(absl::Seconds(5)));
  OnLoop([this] {
    while (!broker_->ledger().sessions.empty()) {
      SessionRecord& session = *broker_->ledger().sessions.begin()->second;
      broker_->Park(session, SessionEvent::kPeerGone, "the test ends");
      broker_->Forget(session);
    }
    thread_.loop().Exit();
  });
  thread_.Join();
  server_.reset();
  broker_.reset();
  thread_.loop().RunPosted();
  std::filesystem::remove_all(directory_);
}

bool ControlRig::Stop(absl::Duration patience) {
  if (std::exchange(stopped_, true)) return true;
  auto done = std::make_shared<std::promise<void>>();
  OnLoop([&] { server_->Stop(patience, [done] { done->set_value(); }); });
  return done->get_future().wait_for(std::chrono::seconds(30)) == std::future_status::ready;
}

void ControlRig::NextPeer(absl::StatusOr<Peer> peer) {
  OnLoop([&] { next_peer_ = std::move(peer); });
}

void ControlRig::OnAccept(absl::AnyInvocable<void(int)> task) {
  OnLoop([&] { on_accept_ = std::move(task); });
}

std::shared_ptr<grpc::Channel> ControlRig::Connect(absl::StatusOr<Peer> peer) {
  const bool known = peer.ok();
  NextPeer(std::move(peer));
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // else a client that does not read buffers MiBs
  auto channel = grpc::CreateCustomChannel(absl::StrCat("unix:", path_),
                                           grpc::InsecureChannelCredentials(), arguments);
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(known ? 30 : 0);
  EXPECT_TRUE(channel->WaitForConnected(deadline) || !known);
  return channel;
}

SessionRecord* ControlRig::AddSession(Peer peer) {
  SessionRecord* session = nullptr;
  OnLoop([&] {
    notices_.push_back(std::make_unique<FakeNotices>());
    session = *broker_->Connect(std::move(peer), *notices_.back());
    EXPECT_TRUE(broker_->Greet(*session, "test").ok());
  });
  return session;
}

void ControlRig::EndSession(SessionRecord* session) {
  OnLoop([&] {
    broker_->Park(*session, SessionEvent::kPeerGone, "its process exited");
    broker_->Forget(*session);
  });
}

BufferId ControlRig::Allocate(SessionRecord* session, std::string name, std::uint64_t size_bytes,
                              std::vector<std::string> labels) {
  std::promise<BufferId> allocated;
  OnLoop([&] {
    broker_->Allocate(
        *session, {.size_bytes = size_bytes, .name = std::move(name), .labels = std::move(labels)},
        [&](absl::StatusOr<LeaseId> lease) {
          EXPECT_TRUE(lease.ok()) << lease.status();
          allocated.set_value(lease.ok() ? broker_->ledger().FindLease(*lease)->buffer->id
                                         : BufferId());
        });
  });
  return allocated.get_future().get();
}

LeaseId ControlRig::Open(SessionRecord* session, BufferId buffer) {
  LeaseId lease;
  OnLoop([&] {
    std::vector<absl::StatusOr<Grant>> grants;
    EXPECT_TRUE(broker_->Open(*session, {OpenItem{.id = buffer}}, grants).ok());
    ASSERT_TRUE(grants[0].ok()) << grants[0].status();
    lease = grants[0]->lease;
  });
  return lease;
}

void ControlRig::Share(SessionRecord* session, BufferId buffer, uid_t uid) {
  OnLoop([&] {
    EXPECT_TRUE(broker_->Share(*session, buffer, {.kind = Grantee::Kind::kUid, .id = uid}).ok());
  });
}

void ControlRig::ReleaseAll(SessionRecord* session) {
  OnLoop([&] {
    std::vector<LeaseId> ids;
    for (const LeaseRecord* lease : session->leases) ids.push_back(lease->id);
    broker_->Release(*session, ids);
  });
}

void ControlRig::SetFacts(ServiceFacts facts) {
  OnLoop([&] { facts_ = std::move(facts); });
}

void ControlRig::Tell(Event event) {
  OnLoop([&] { broker_->Tell(std::move(event)); });
}

std::string ReasonOf(const grpc::Status& status) {
  if (status.ok()) return "OK";
  google::rpc::Status rpc;
  if (!rpc.ParseFromString(status.error_details()) || rpc.details_size() == 0)
    return absl::StrCat("no details, code ", static_cast<int>(status.error_code()), ": ",
                        status.error_message());
  google::rpc::ErrorInfo info;
  if (!rpc.details(0).UnpackTo(&info) || info.domain() != "hlbuf") return "no ErrorInfo of hlbuf";
  return info.reason();
}

}  // namespace hlbuf
