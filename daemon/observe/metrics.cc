// SPDX-License-Identifier: Apache-2.0
#include "daemon/observe/metrics.h"

#include <algorithm>
#include <vector>

#include "daemon/observe/open_metrics.h"

namespace hlbuf {
namespace {

constexpr std::array kStates = {
    DeviceState::kAbsent,   DeviceState::kOpening, DeviceState::kReady,     DeviceState::kDrained,
    DeviceState::kRevoking, DeviceState::kClosing, DeviceState::kResetting, DeviceState::kFailed};

bool IsCounted(EventKind kind) {
  return kind != EventKind::kLeaseGranted && kind != EventKind::kLeaseEnded;
}

using Devices = std::vector<const Device*>;

Devices ByName(const Broker& broker) {
  Devices devices;
  for (const auto& device : broker.devices()) devices.push_back(device.get());
  std::sort(devices.begin(), devices.end(),
            [](const Device* a, const Device* b) { return a->name() < b->name(); });
  return devices;
}

void AddStates(OpenMetrics& out, const Devices& devices) {
  out.Gauge("hlbuf_device_state", "1 for the state that the device is in, 0 for the others.");
  for (const Device* device : devices)
    for (const DeviceState state : kStates)
      out.Sample({{"device", device->name()}, {"state", StateText(state)}},
                 device->state() == state ? 1 : 0);
}

void AddDevices(OpenMetrics& out, const Devices& devices) {
  const auto each = [&](absl::string_view name, absl::string_view help, auto value) {
    out.Gauge(name, help);
    for (const Device* device : devices) out.Sample({{"device", device->name()}}, value(*device));
  };
  AddStates(out, devices);
  each("hlbuf_device_epoch", "Counts the lives of the device; every reset begins a new one.",
       [](const Device& device) { return device.epoch(); });
  each("hlbuf_device_warning",
       "1 while the device works with something that operators should know.",
       [](const Device& device) { return std::uint64_t{device.warning().empty() ? 0u : 1u}; });
  each("hlbuf_device_total_bytes", "Memory of the device; 0 where it has no bound of its own.",
       [](const Device& device) { return device.traits().total_bytes; });
  each("hlbuf_device_used_bytes", "Memory of buffers in every state.",
       [](const Device& device) { return device.used_bytes(); });
  each("hlbuf_device_draining_bytes",
       "Part of the used memory: of buffers that wait until everybody has let go.",
       [](const Device& device) { return device.draining_bytes(); });
  each("hlbuf_device_reserved_bytes",
       "Free memory that only some domain may get, or none, since bytes of others are still there.",
       [](const Device& device) { return device.reserved_bytes(); });
}

void AddTotals(OpenMetrics& out, const Ledger& ledger) {
  out.Gauge("hlbuf_buffers", "Buffers in every state.");
  out.Sample({}, ledger.registry.size());
  out.Gauge("hlbuf_leases", "Leases in every state.");
  out.Sample({}, ledger.leases.size());
  out.Gauge("hlbuf_sessions", "Sessions in every state.");
  out.Sample({}, ledger.sessions.size());
  out.Gauge("hlbuf_in_flight_fds", "Descriptors sent that their receivers have not taken yet.");
  out.Sample({}, ledger.accounts.service().used(Resource::kInFlight));
}

}  // namespace

void Metrics::OnEvent(const NumberedEvent& numbered) {
  const Event& event = numbered.event;
  ++events_[static_cast<std::size_t>(event.kind)];
  if (IsLoss(event.kind))
    lost_[static_cast<std::size_t>(event.kind)] += std::max<std::uint64_t>(event.count, 1);
  if (event.verdict.has_value()) ++verdicts_[static_cast<std::size_t>(event.verdict->kind)];
  if (event.kind == EventKind::kOpenerLost) ++devices_[event.device].openers_lost;
  if (event.kind == EventKind::kReferencesOutliveLeases) ++devices_[event.device].buffers_outlived;
  if (event.state == DeviceState::kResetting) ++devices_[event.device].resets;
  if (event.state == DeviceState::kFailed) ++devices_[event.device].failures;
}

void Metrics::AddLosses(OpenMetrics& out) const {
  out.Counter("hlbuf_lost",
              "What was lost since the service was started: buffers, leases, descriptors, keepers, "
              "or all that was written down.");
  for (std::size_t i = 0; i < kEventKindCount; ++i)
    if (const auto kind = static_cast<EventKind>(i); IsLoss(kind))
      out.Sample({{"kind", EventKindText(kind)}}, lost_[i]);
  out.Counter("hlbuf_state_risks",
              "How often what is held was found not to survive the end of the service.");
  for (std::size_t i = 0; i < kEventKindCount; ++i)
    if (const auto kind = static_cast<EventKind>(i); IsRisk(kind))
      out.Sample({{"kind", EventKindText(kind)}}, events_[i]);
}

std::string Metrics::Text(const Broker& broker) const {
  const Devices devices = ByName(broker);
  OpenMetrics out;
  out.Counter("hlbuf_events", "Events by kind; those of single grants are not counted.");
  for (std::size_t i = 0; i < kEventKindCount; ++i)
    if (const auto kind = static_cast<EventKind>(i); IsCounted(kind))
      out.Sample({{"kind", EventKindText(kind)}}, events_[i]);
  AddLosses(out);
  out.Counter("hlbuf_verdicts", "Verdicts on buffers that were asked back.");
  for (std::size_t i = 0; i < verdicts_.size(); ++i)
    out.Sample({{"verdict", VerdictText(static_cast<Verdict::Kind>(i))}}, verdicts_[i]);
  const auto each = [&](absl::string_view name, absl::string_view help,
                        std::uint64_t OfDevice::*count) {
    out.Counter(name, help);
    for (const Device* device : devices) {
      const auto counts = devices_.find(device->name());
      out.Sample({{"device", device->name()}},
                 counts == devices_.end() ? 0 : counts->second.*count);
    }
  };
  each("hlbuf_resets", "Resets of the device that got as far as closing it, drills included.",
       &OfDevice::resets);
  each("hlbuf_device_failures", "How often the device could not be opened or reset.",
       &OfDevice::failures);
  each("hlbuf_openers_lost", "Deaths of the process that had opened the device, without a reset.",
       &OfDevice::openers_lost);
  each("hlbuf_buffers_outlived",
       "Buffers whose references outlived every lease by more than a second.",
       &OfDevice::buffers_outlived);
  AddDevices(out, devices);
  AddTotals(out, broker.ledger());
  return std::move(out).Finish();
}

}  // namespace hlbuf
