// SPDX-License-Identifier: Apache-2.0
#include "daemon/readiness.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace hlbuf {
namespace {

bool IsSettled(const Device& device) {
  return device.is_open() || device.state() == DeviceState::kFailed;
}

// "Serving software0 (READY), heap (FAILED)"
std::string StatusOf(const Broker& broker) {
  std::vector<std::string> devices;
  for (const auto& device : broker.devices())
    devices.push_back(absl::StrCat(device->name(), " (", StateText(device->state()), ")"));
  return absl::StrCat("Serving ", absl::StrJoin(devices, ", "));
}

}  // namespace

Readiness::Readiness(EventLog& log, const Broker& broker, Poster& poster, const Clock& clock,
                     Notify notify)
    : broker_(broker),
      poster_(poster),
      clock_(clock),
      notify_(std::move(notify)),
      latest_(clock.Now() + kPatience),
      subscription_(log.Subscribe(*this, /*leases=*/false)) {}

// The broker is in the middle of what it tells.
void Readiness::OnEvent(const NumberedEvent& numbered) {
  if (numbered.event.kind == EventKind::kDeviceState) poster_.Post([this] { LookAtDevices(); });
}

// A device that goes through a reset says nothing new until it has come out of it: whoever takes
// these lines may be slow, and sd_notify() waits for him.
void Readiness::LookAtDevices() {
  const auto& devices = broker_.devices();
  if (std::all_of(devices.begin(), devices.end(),
                  [](const auto& device) { return IsSettled(*device); }))
    Tell(StatusOf(broker_));
}

void Readiness::RunDeadlines() {
  if (!ready_ && clock_.Now() >= latest_) Tell(StatusOf(broker_));
}

void Readiness::Tell(const std::string& status) {
  if (status == told_) return;
  told_ = status;
  notify_(absl::StrCat(std::exchange(ready_, true) ? "" : "READY=1\n", "STATUS=", status));
}

}  // namespace hlbuf
