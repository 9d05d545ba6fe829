// SPDX-License-Identifier: Apache-2.0
#include "tests/support/restart_rig.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <future>

namespace hlbuf {

RestartRigOptions::RestartRigOptions() {
  limits.service.fill(kUnlimited);
  limits.uid.fill(kUnlimited);
  limits.domain.fill(kUnlimited);
}

RestartRig::RestartRig(RestartRigOptions options) : options_(std::move(options)) {
  char directory[] = "/tmp/hlbuf-restart-XXXXXX";
  directory_ = ::mkdtemp(directory);
  path_ = directory_ + "/buf.sock";
  ListeningSocket listening = *ListenAt(path_, SOCK_SEQPACKET, 0666, std::nullopt);
  file_ = std::move(listening.file);
  socket_ = std::move(listening.socket);
  LosePage();
  Start();
}

RestartRig::~RestartRig() {
  if (broker_ != nullptr) Kill();
  std::filesystem::remove_all(directory_);
}

void RestartRig::LosePage(std::uint32_t slots) {
  page_ = std::make_unique<SharedEpochPage>();
  EXPECT_TRUE(page_->Create(slots).ok());
}

BrokerSettings RestartRig::Settings() const {
  constexpr std::uint64_t kIdsOfALife = 1'000'000;
  return {.limits = options_.limits,
          .operator_grace = absl::Seconds(30),
          .first_id = 1 + lives_ * kIdsOfALife,
          .reattach_grace = options_.reattach_grace};
}

void RestartRig::Start() {
  loop_ = std::make_unique<LoopThread>();
  broker_ = std::make_unique<Broker>(Settings(), Policy({}, {.service_uid = ::getuid()}), clock_,
                                     told_, nullptr, recorder_, *page_);
  std::vector<NewDevice> devices;
  devices.push_back(
      {.name = "memory0", .backend = std::make_unique<MemoryBackend>(loop_->loop(), fds_)});
  broker_->Restore(recorder_.kept(), std::move(devices));
  listener_ = *Listener::Start(*broker_, loop_->loop(), clock_,
                               UniqueFd(::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0)), {},
                               page_->read_only());
  const absl::Status timer = loop_->loop().SetTimer(
      [this] { return std::min(broker_->NextDeadline(), listener_->NextDeadline()); },
      [this] {
        broker_->RunDeadlines();
        listener_->RunDeadlines();
      });
  EXPECT_TRUE(timer.ok()) << timer;
  ++lives_;
  loop_->Start();
  Until([](Broker& broker) {
    const DeviceState state = broker.devices().front()->state();
    return state == DeviceState::kReady || state == DeviceState::kRevoking;  // a reset goes on
  });
}

// What was posted and has not run never will: so does a process end that is killed.
void RestartRig::Kill() {
  OnLoop([this](Broker& broker) {
    broker.Suspend();
    loop_->loop().Exit();
  });
  loop_->Join();
  listener_.reset();
  broker_.reset();
  loop_.reset();
}

void RestartRig::Stop() {
  std::promise<void> out;
  OnLoop([&](Broker& broker) {
    broker.Suspend();
    listener_->Shutdown("reconnect", Listener::Leases::kKept, absl::Milliseconds(100),
                        [&] { out.set_value(); });
  });
  out.get_future().wait();
  Kill();
}

void RestartRig::OnLoop(absl::FunctionRef<void(Broker&)> task) {
  loop_->OnLoop([&] { task(*broker_); });
}

void RestartRig::Until(absl::FunctionRef<bool(Broker&)> done) {
  EXPECT_TRUE(loop_->Until([&] { return done(*broker_); })) << "what was waited for did not come";
}

std::vector<Event> RestartRig::Events() {
  std::vector<Event> events;
  OnLoop([&](Broker&) { events = told_.all; });
  return events;
}

}  // namespace hlbuf
