// SPDX-License-Identifier: Apache-2.0
#include "tests/support/session_rig.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>

#include "daemon/device/make_backends.h"

namespace hlbuf {

SessionRigOptions::SessionRigOptions() {
  limits.service.fill(kUnlimited);
  limits.uid.fill(kUnlimited);
  limits.domain.fill(kUnlimited);
}

SessionRig::SessionRig(SessionRigOptions options) {
  char directory[] = "/tmp/hlbuf-session-XXXXXX";
  directory_ = ::mkdtemp(directory);
  path_ = directory_ + "/buf.sock";
  loop_ = std::make_unique<LoopThread>();
  EXPECT_TRUE(page_.Create(1'000).ok());
  BrokerSettings settings;
  settings.limits = options.limits;
  settings.operator_grace = absl::Seconds(30);
  settings.enforcement = options.enforcement;
  broker_ = std::make_unique<Broker>(settings, Policy({}, {.service_uid = ::getuid()}), clock_,
                                     recorder_, nullptr, hlbuf::Recorder::None(), page_);
  broker_->AddDevice("software0",
                     *MakeBackend({.name = "software0", .size_bytes = 1 << 30, .drills = true},
                                  loop_->loop(), syscalls_));
  ListeningSocket listening = *ListenAt(path_, SOCK_SEQPACKET, 0666, std::nullopt);
  file_ = std::move(listening.file);
  listener_ = *Listener::Start(*broker_, loop_->loop(), clock_, std::move(listening.socket),
                               options.timing, page_.read_only());
  const absl::Status timer = loop_->loop().SetTimer(
      [this] {
        ++rounds_;
        return std::min(broker_->NextDeadline(), listener_->NextDeadline());
      },
      [this] {
        broker_->RunDeadlines();
        listener_->RunDeadlines();
      });
  EXPECT_TRUE(timer.ok()) << timer;
  loop_->Start();
  Until([](Broker& broker) { return broker.devices().front()->state() == DeviceState::kReady; });
}

SessionRig::~SessionRig() {
  OnLoop([this](Broker&) {
    listener_->Shutdown("the test ends", Listener::Leases::kEnd, absl::ZeroDuration(), [] {});
    listener_->RunDeadlines();
    loop_->loop().Exit();
  });
  loop_->Join();
  loop_->loop().RunPosted();
  listener_.reset();
  broker_.reset();
  loop_.reset();
  std::filesystem::remove_all(directory_);
}

PairedClient SessionRig::ConnectByPair() {
  int sockets[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
  OnLoop([&](Broker&) { listener_->Begin(UniqueFd(sockets[0])); });
  return {.client = RawClient(UniqueFd(sockets[1])), .session_socket = sockets[0]};
}

void SessionRig::OnLoop(absl::FunctionRef<void(Broker&)> task) {
  loop_->OnLoop([&] { task(*broker_); });
}

void SessionRig::Until(absl::FunctionRef<bool(Broker&)> done) {
  EXPECT_TRUE(loop_->Until([&] { return done(*broker_); })) << "what was waited for did not come";
}

std::uint64_t SessionRig::RoundsIn(int ms) {
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  OnLoop([&](Broker&) { before = rounds_; });
  ::poll(nullptr, 0, ms);
  OnLoop([&](Broker&) { after = rounds_; });
  return after - before;
}

std::vector<Event> SessionRig::Events() {
  std::vector<Event> events;
  OnLoop([&](Broker&) { events = recorder_.events; });
  return events;
}

}  // namespace hlbuf
