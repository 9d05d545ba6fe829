// SPDX-License-Identifier: Apache-2.0
#include "tests/soak/client.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <utility>

namespace hlbuf {
namespace {

constexpr std::size_t kHeldMax = 8;
constexpr int kStepsInARow = 8;
// Between two rows of steps, and while it waits for what to do next.
constexpr std::chrono::milliseconds kPause(20);

std::uint64_t CountDescriptors() {
  const auto all = std::filesystem::directory_iterator("/proc/self/fd");
  return static_cast<std::uint64_t>(std::distance(begin(all), end(all))) - 1;
}

}  // namespace

SoakClient::SoakClient(const SoakClientOptions& options, SoakBoard& board)
    : options_(options),
      board_(board),
      place_(board.places[options.place]),
      record_(options.record_path),
      registrations_(options.importer),
      dice_(static_cast<unsigned>(options.place) + 1) {}

int SoakClient::Run() {
  if (!record_) {
    Fail(options_.record_path + ": " + std::strerror(errno));
    return 1;
  }
  Line begins("begin");
  begins.Add("at", MonotonicNs()).Add("uid", ::getuid()).Add("peer", options_.peer);
  record_.Write(begins.Add("descriptors", CountDescriptors()));
  if (!Connect()) return 1;
  while (board_.command != SoakCommand::kEnd && place_.failed == 0) Work();
  ReleaseAll();
  client_.reset();
  record_.Write(Line("end").Add("at", MonotonicNs()).Add("descriptors", CountDescriptors()));
  record_.Flush();
  place_.does = SoakCommand::kEnd;
  return place_.failed == 0 ? 0 : 1;
}

bool SoakClient::Connect() {
  Options options = {.socket_path = options_.socket_path, .client_name = "soak"};
  options.on_revoke = [this](const hlbuf_revocation& revocation) { return OnRevoke(revocation); };
  options.on_goodbye = [this](const hlbuf_goodbye& goodbye) {
    Line line("goodbye");
    line.Add("at", MonotonicNs());
    record_.Write(line.Add("reason", std::string(hlbuf_goodbye_reason_name(goodbye.reason))));
  };
  Result<Client> connected = Client::TryConnect(std::move(options));
  if (!connected.ok()) {
    Fail(std::string("connect: ") + connected.error().text);
    return false;
  }
  client_ = std::move(connected).value();
  return true;
}

void SoakClient::Work() {
  const SoakCommand command = board_.command;
  if (command != SoakCommand::kRun) return Wait(command);
  place_.does = SoakCommand::kRun;
  for (int i = 0; i < kStepsInARow && board_.command == SoakCommand::kRun; ++i) {
    Step();
    Dispatch(std::chrono::milliseconds(0));
  }
  Dispatch(kPause);
}

void SoakClient::Wait(SoakCommand command) {
  if (command == SoakCommand::kRest) ReleaseAll();
  record_.Flush();
  place_.does = command;
  Dispatch(kPause);
}

void SoakClient::Step() {
  const auto what = dice_() % 16;
  if (held_.size() >= kHeldMax || (what < 3 && !held_.empty())) return Release(Any());
  if (what < 6) return Allocate();
  if (what < 9) return OpenOne();
  if (what == 9) return OpenSome();
  if (held_.empty()) return;
  if (what < 13) return Read(*Any());
  Held* own = AnyOfOwn();
  if (own == nullptr) return;
  if (what < 15) return Write(*own);
  ShareOrNot(*own);
}

void SoakClient::Dispatch(std::chrono::milliseconds timeout) {
  hlbuf_error error = {};
  if (client_->Dispatch(timeout, &error) != HLBUF_OK)
    Fail(std::string("dispatch: ") + hlbuf_error_name(error.code) + " " + error.text);
  Sweep();
}

// What was revoked has no descriptor any more.
void SoakClient::Sweep() {
  held_.remove_if([](const Held& held) { return held.buffer.fd() < 0; });
  place_.held = held_.size();
}

hlbuf_revoke_answer SoakClient::OnRevoke(const hlbuf_revocation& revocation) {
  Line line("revoked");
  line.Add("at", MonotonicNs()).Add("lease", revocation.lease_id);
  line.Add("buffer", revocation.buffer_id);
  record_.Write(line.Add("reason", std::string(hlbuf_revoke_reason_name(revocation.reason))));
  place_.revoked += 1;
  if (place_.offered == revocation.buffer_id) place_.offered = 0;
  if (auto* held = static_cast<Held*>(hlbuf_buffer_context(revocation.buffer)))
    held->memory.reset();
  return HLBUF_REVOKE_RELEASE;
}

SoakClient::Held* SoakClient::Keep(Buffer buffer, bool own) {
  place_.grants += 1;
  Held& held = held_.emplace_back(std::move(buffer));
  held.own = own;
  place_.held = held_.size();
  hlbuf_buffer_set_context(held.buffer.get(), &held);
  held.memory = MemoryOf(held.buffer, registrations_);
  if (held.memory != nullptr) return &held;
  Fail(std::string("use a buffer: ") + std::strerror(errno));
  return nullptr;
}

SoakClient::Place SoakClient::Any() {
  return std::next(held_.begin(), static_cast<long>(dice_() % held_.size()));
}

SoakClient::Held* SoakClient::AnyOfOwn() {
  std::vector<Held*> own;
  for (Held& held : held_)
    if (held.own) own.push_back(&held);
  return own.empty() ? nullptr : own[dice_() % own.size()];
}

void SoakClient::Release(Place place) {
  Read(*place);
  if (place_.offered == place->buffer.id()) place_.offered = 0;
  const std::uint64_t lease = place->buffer.lease_id(), id = place->buffer.id();
  const bool revoked = place->memory == nullptr;
  const std::uint64_t began = MonotonicNs();
  held_.erase(place);
  place_.held = held_.size();
  if (revoked) return;  // it is over already
  Line line("release");
  line.Add("began", began).Add("ended", MonotonicNs()).Add("buffer", id);
  record_.Write(line.Add("lease", lease));
}

void SoakClient::ReleaseAll() {
  while (!held_.empty()) Release(held_.begin());
}

void SoakClient::Fail(const std::string& why) {
  if (place_.failed != 0) return;
  std::snprintf(place_.failure.data(), place_.failure.size(), "%s", why.c_str());
  place_.failed = 1;
}

}  // namespace hlbuf
