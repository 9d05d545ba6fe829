// SPDX-License-Identifier: Apache-2.0
// What clients ask of the broker: allocate.
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/broker.h"
#include "daemon/core/error.h"
#include "daemon/core/names.h"

namespace hlbuf {
namespace {

absl::Status Drained(const Device& device, absl::Time now) {
  const absl::Duration ago = absl::Trunc(now - device.drain()->since, absl::Seconds(1));
  return Error(ErrorCode::kDeviceUnavailable,
               absl::StrCat(device.name(), " is ", StateText(device.state()), ": ",
                            device.failure(), device.failure().empty() ? "" : "; ",
                            device.drain()->by, " took it out of use ", absl::FormatDuration(ago),
                            " ago; use another device, or wait for a DEVICE notice that it is "
                            "READY, which takes `hl-bufctl undrain ",
                            device.name(), "`"));
}

// Rounded up to the device's page, or why not.
absl::StatusOr<std::uint64_t> ExportedBytes(const Device& device, std::uint64_t size_bytes) {
  const BackendTraits& traits = device.traits();
  if (size_bytes == 0)
    return Error(ErrorCode::kInvalidArgument, "size_bytes is 0; a buffer has at least one byte");
  if (size_bytes > traits.buffer_bytes_max)
    return Error(ErrorCode::kInvalidArgument,
                 absl::StrCat("size_bytes is ", size_bytes, "; a buffer of ", device.name(), " (",
                              traits.kind, ") has at most ", traits.buffer_bytes_max, " bytes"));
  return (size_bytes + traits.page_bytes - 1) / traits.page_bytes * traits.page_bytes;
}

}  // namespace

absl::Status Broker::Unavailable(const Device& device) const {
  if (device.drain().has_value()) return Drained(device, ledger_.clock.Now());
  return Error(ErrorCode::kDeviceUnavailable,
               absl::StrCat(device.name(), " is ", StateText(device.state()),
                            device.failure().empty() ? "" : ": ", device.failure(),
                            "; a DEVICE notice tells when it is READY"));
}

absl::StatusOr<std::unique_ptr<BufferRecord>> Broker::Admit(SessionRecord& session,
                                                            AllocateRequest request) {
  if (!request.name.empty()) RETURN_IF_ERROR(CheckName("buffer name", request.name));
  RETURN_IF_ERROR(CheckLabels(request.labels));
  if (!request.device.empty()) RETURN_IF_ERROR(CheckName("device name", request.device));
  const Device* named = NamedOrDefault(request.device);
  if (named == nullptr)
    return Error(ErrorCode::kNotFound,
                 request.device.empty()
                     ? "there is no device to allocate on; the administrator configures one"
                     : absl::StrCat("there is no device '", request.device, "'"));
  Device& device = *FindDevice(named->name());
  const Decision decision =
      policy_.Decide(session.peer, Verb::kAllocate, {.device = device.name()});
  if (!decision.allowed)
    return Refuse(session, Verb::kAllocate, absl::StrCat("on ", device.name()), decision);
  if (device.state() != DeviceState::kReady) return Unavailable(device);
  ASSIGN_OR_RETURN(const std::uint64_t bytes, ExportedBytes(device, request.size_bytes));
  if (!request.name.empty() &&
      ledger_.registry.FindByName(*session.account, request.name) != nullptr)
    return Error(ErrorCode::kAlreadyExists,
                 absl::StrCat(session.peer.domain().Text(), " has a buffer '", request.name,
                              "' already; open it, or choose another name"));
  auto buffer = std::make_unique<BufferRecord>();
  ASSIGN_OR_RETURN(buffer->bytes, Take(session, Resource::kBytes, bytes));
  ASSIGN_OR_RETURN(buffer->buffers, Take(session, Resource::kBuffers, 1));
  buffer->name = std::move(request.name);
  buffer->labels = std::move(request.labels);
  buffer->device = &device;
  buffer->epoch = device.epoch();
  buffer->owner = session.account;
  buffer->job = session.peer.job;
  buffer->allocated_by = {.session = session.id, .cookie = request.cookie};
  buffer->since = ledger_.clock.Now();
  buffer->allocation.size_bytes = bytes;
  return buffer;
}

const Device* Broker::NamedOrDefault(absl::string_view name) const {
  return name.empty() ? default_device() : FindDevice(name);
}

void Broker::Allocate(SessionRecord& session, AllocateRequest request, Allocated done) {
  if (ledger_.suspended) return std::move(done)(Stopping());
  const absl::Time until = ledger_.clock.Now() + request.wait;
  Try({.session = &session,
       .device = NamedOrDefault(request.device),
       .request = std::move(request),
       .until = until,
       .done = std::move(done)});
}

void Broker::Try(Waiting asked) {
  SessionRecord& session = *asked.session;
  std::unique_ptr<Waiting> again;
  if (asked.request.wait > absl::ZeroDuration())
    again = std::make_unique<Waiting>(Waiting{.session = asked.session,
                                              .device = asked.device,
                                              .request = asked.request,
                                              .until = asked.until});
  absl::StatusOr<std::unique_ptr<BufferRecord>> admitted = Admit(session, std::move(asked.request));
  if (!admitted.ok())
    return RefuseOrWait(std::move(again), admitted.status(), std::move(asked.done));
  absl::StatusOr<Charge> lease = Take(session, Resource::kLeases, 1);
  if (!lease.ok()) return std::move(asked.done)(lease.status());
  // A buffer and its lease.
  if (const absl::Status room = ledger_.recorder.Reserve(2); !room.ok())
    return std::move(asked.done)(room);
  (*admitted)->id = ledger_.ids.Next<BufferId>();
  BufferRecord& buffer = ledger_.registry.Add(*std::move(admitted));
  ledger_.recorder.Write(buffer);
  Device& device = *buffer.device;
  device.Use(buffer.bytes.amount());
  device.JobBegan();
  device.backend().Allocate(
      {.size_bytes = buffer.allocation.size_bytes, .domain = buffer.owner->domain},
      [this, id = buffer.id, session_id = session.id, lease = *std::move(lease),
       again = std::move(again),
       done = std::move(asked.done)](absl::StatusOr<Allocation> allocation) mutable {
        OnAllocated(id, session_id, std::move(lease), std::move(again), std::move(allocation),
                    std::move(done));
      });
}

void Broker::RefuseOrWait(std::unique_ptr<Waiting> again, const absl::Status& refusal,
                          Allocated done) {
  if (!MayWait(again.get(), refusal)) return std::move(done)(refusal);
  again->done = std::move(done);
  again->refusal = refusal;
  waiting_.Add(std::move(*again));
}

bool Broker::MayWait(const Waiting* again, const absl::Status& refusal) const {
  return again != nullptr && ErrorCodeOf(refusal) == ErrorCode::kDeviceUnavailable &&
         resets_.IsComing(*again->device);
}

absl::Status Broker::InVain(const Waiting& waiting) {
  const Device& device = *waiting.device;
  if (device.state() != DeviceState::kReady) return Unavailable(device);
  TellRefused(device, waiting.session->id, waiting.session->peer.domain(),
              waiting.request.size_bytes, waiting.refusal);
  return waiting.refusal;
}

void Broker::TellRefused(const Device& device, SessionId session, const Domain& domain,
                         std::uint64_t bytes, const absl::Status& refusal) {
  ledger_.Tell({.kind = EventKind::kRequestRefused,
                .device = device.name(),
                .session = session,
                .domain = domain,
                .text = absl::StrCat("allocate of ", bytes, " bytes on ", device.name(), ": ",
                                     refusal.message())});
}

// The world may have changed since the worker was asked.
absl::Status Broker::StillWanted(const BufferRecord& buffer, const SessionRecord* session) const {
  if (session == nullptr || session->state != SessionState::kReady)
    return Error(ErrorCode::kGone, "its session ended while it was allocated");
  if (buffer.revoked.has_value())
    return Error(ErrorCode::kRevoked,
                 "an operator asked back what this user or job holds, while it was allocated; ask "
                 "an operator before you allocate again");
  const Device& device = *buffer.device;
  if (device.state() != DeviceState::kReady) return Unavailable(device);
  if (device.epoch() != buffer.epoch)
    return Error(ErrorCode::kDeviceUnavailable,
                 absl::StrCat(device.name(), " was reset while it was allocated; ask again"));
  return absl::OkStatus();
}

void Broker::OnAllocated(BufferId id, SessionId session_id, Charge lease,
                         std::unique_ptr<Waiting> again, absl::StatusOr<Allocation> allocation,
                         Allocated done) {
  // What nobody was granted the next process does not ask the device for.
  if (ledger_.suspended) return;
  BufferRecord& buffer = *ledger_.registry.Find(id);
  Device& device = *buffer.device;
  const auto it = ledger_.sessions.find(session_id);
  SessionRecord* session = it == ledger_.sessions.end() ? nullptr : it->second.get();
  absl::Status outcome = allocation.status();
  if (allocation.ok()) {
    buffer.allocation = *std::move(allocation);
    outcome = StillWanted(buffer, session);
  }
  if (!outcome.ok()) {
    if (session == nullptr || session->state != SessionState::kReady) again.reset();
    if (!allocation.ok() && !MayWait(again.get(), outcome))
      TellRefused(device, session_id, buffer.owner->domain, buffer.bytes.amount(), outcome);
    lease.GiveBack();
    draining_.BeginUngranted(buffer);
    device.JobEnded();
    return RefuseOrWait(std::move(again), outcome, std::move(done));
  }
  buffer.state = Checked(Next(buffer.state, BufferEvent::kExported));
  ledger_.epochs.MakeCurrent(buffer);
  ledger_.recorder.Write(buffer);
  ledger_.Tell(EventKind::kBufferAllocated, buffer, buffer.name);
  const LeaseId granted = ledger_.Grant(*session, buffer, std::nullopt, std::move(lease)).id;
  device.JobEnded();
  std::move(done)(granted);
}

}  // namespace hlbuf
