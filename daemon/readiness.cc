// SPDX-License-Identifier: Apache-2.0
#include "daemon/readiness.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace hlbuf {
namespace {

// In a message of its own: whatever becomes of a status, the service is ready.
constexpr const char* kReady = "READY=1";

bool IsSettled(const Device& device) {
  return device.is_open() || device.state() == DeviceState::kFailed;
}

// "software0 (READY)", "heap (FAILED: no such node)"
std::string TextOf(const Device& device) {
  const bool failed = device.state() == DeviceState::kFailed && !device.failure().empty();
  return absl::StrCat(device.name(), " (", StateText(device.state()), failed ? ": " : "",
                      failed ? device.failure() : "", ")");
}

// A service manager takes a message of 4,096 bytes, and of a longer one nothing. So each of the
// three parts of a status has its share; the log has the whole.
constexpr std::size_t kPartBytesMax = 1024;

// On a character's boundary: what is no UTF-8 is not shown.
std::string Cut(std::string text) {
  constexpr absl::string_view kCut = "...";
  if (text.size() <= kPartBytesMax) return text;
  std::size_t end = kPartBytesMax - kCut.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return absl::StrCat(text, kCut);
}

}  // namespace

Readiness::Readiness(EventLog& log, const Broker& broker, Poster& poster, const Clock& clock,
                     Notify notify)
    : broker_(broker),
      poster_(poster),
      clock_(clock),
      notify_(std::move(notify)),
      latest_(clock.Now() + kPatience),
      count_latest_(clock.Now() + kCountPatience),
      subscription_(log.Subscribe(*this, /*leases=*/false)) {}

// The broker is in the middle of what it tells.
void Readiness::OnEvent(const NumberedEvent& numbered) {
  if (numbered.event.kind == EventKind::kDeviceState) poster_.Post([this] { LookAtDevices(); });
}

std::string Readiness::Status() const {
  std::vector<std::string> devices;
  for (const auto& device : broker_.devices()) devices.push_back(TextOf(*device));
  const std::string status =
      absl::StrCat(Cut(absl::StrCat("Serving ", absl::StrJoin(devices, ", "))),
                   trouble_.empty() ? "" : "; ", trouble_, remark_.empty() ? "" : "; ", remark_);
  return absl::StrReplaceAll(status, {{"\n", " "}});  // the next line would be another message
}

// A device that goes through a reset says nothing new until it has come out of it: whoever takes
// these lines may be slow.
void Readiness::LookAtDevices() {
  if (!ready_ && awaits_count_) return;
  const auto& devices = broker_.devices();
  if (std::all_of(devices.begin(), devices.end(),
                  [](const auto& device) { return IsSettled(*device); }))
    Tell(Status());
}

void Readiness::AwaitCount(bool awaited) {
  awaits_count_ = awaited && clock_.Now() < count_latest_;
  if (!awaited && !ready_) LookAtDevices();
}

absl::Time Readiness::NextDeadline() const {
  if (ready_) return absl::InfiniteFuture();
  return awaits_count_ ? count_latest_ : latest_;
}

void Readiness::RunDeadlines() {
  if (clock_.Now() < NextDeadline()) return;
  awaits_count_ = false;
  if (clock_.Now() >= latest_)
    Tell(Status());
  else
    LookAtDevices();
}

void Readiness::BeginReload() {
  // Before it is ready the service manager would take the end of this for that.
  if (!ready_ || stopping_) return;
  reloading_ = true;
  notify_("RELOADING=1\nSTATUS=Reading the configuration again");
}

void Readiness::EndReload(std::string remark) {
  remark_ = Cut(std::move(remark));
  if (!std::exchange(reloading_, false) || stopping_) return;
  TellStatus(Status());
  notify_(kReady);
}

void Readiness::SetTrouble(std::string trouble) { trouble_ = Cut(std::move(trouble)); }

void Readiness::TellStopping() {
  stopping_ = true;
  notify_("STOPPING=1\nSTATUS=Stopping: clients are told");
}

void Readiness::Tell(const std::string& status) {
  if (status == told_ || reloading_ || stopping_) return;
  TellStatus(status);
  if (!std::exchange(ready_, true)) notify_(kReady);
}

void Readiness::TellStatus(const std::string& status) {
  told_ = status;
  notify_(absl::StrCat("STATUS=", status));
}

}  // namespace hlbuf
