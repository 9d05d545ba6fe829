// SPDX-License-Identifier: Apache-2.0
#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/crash_point.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/session/session.h"

namespace hlbuf {
namespace {

// Around the sending of a frame; null: grants have points of their own, and PING and GOODBYE leave
// nothing to find. Where there are no crash points, nothing of this is left.
struct SendCrashes {
  CrashPointName before, after;
};

const SendCrashes* CrashesOf(Frame frame) {
  static constexpr SendCrashes kWelcome = {"before-send-welcome", "after-send-welcome"};
  static constexpr SendCrashes kReattached = {"before-send-reattached", "after-send-reattached"};
  static constexpr SendCrashes kShared = {"before-send-shared", "after-send-shared"};
  static constexpr SendCrashes kUnshared = {"before-send-unshared", "after-send-unshared"};
  static constexpr SendCrashes kDeviceList = {"before-send-device-list", "after-send-device-list"};
  static constexpr SendCrashes kError = {"before-send-error", "after-send-error"};
  static constexpr SendCrashes kRevoke = {"before-send-revoke", "after-send-revoke"};
  static constexpr SendCrashes kDevice = {"before-send-device", "after-send-device"};
  switch (reinterpret_cast<const hlbuf_wire_header*>(frame.data())->opcode) {
    case HLBUF_WIRE_WELCOME:
      return &kWelcome;
    case HLBUF_WIRE_REATTACHED:
      return &kReattached;
    case HLBUF_WIRE_SHARED:
      return &kShared;
    case HLBUF_WIRE_UNSHARED:
      return &kUnshared;
    case HLBUF_WIRE_DEVICE_LIST:
      return &kDeviceList;
    case HLBUF_WIRE_ERROR:
      return &kError;
    case HLBUF_WIRE_REVOKE:
      return &kRevoke;
    case HLBUF_WIRE_DEVICE:
      return &kDevice;
    default:
      return nullptr;
  }
}

}  // namespace

// True when no descriptor is on its way to this peer.
bool Session::ReadyToSend() {
  Sweep();
  return !grant_out_;
}

void Session::Send(Frame frame) { SendOrKeep(frame, ""); }

void Session::SendOrKeep(Frame frame, absl::string_view device) {
  if (farewell_.has_value()) return;  // nothing comes behind it
  if (outbox_.empty() && !reattaching_ && ReadyToSend() && !absl::IsUnavailable(Transmit(frame)))
    return;
  if (device.empty())
    outbox_.PushFrame(frame);
  else
    outbox_.PushDevice(device, frame);
  WatchFor();
}

absl::Status Session::Transmit(Frame frame, absl::Span<const int> fds) {
  const SendCrashes* const crashes = CrashesOf(frame);
  if (crashes != nullptr) CrashPoint(crashes->before);
  const absl::Status sent = SendPacket(socket_.get(), frame, fds);
  if (crashes != nullptr) CrashPoint(crashes->after);
  if (sent.ok() || absl::IsUnavailable(sent) || absl::IsResourceExhausted(sent)) return sent;
  if (absl::IsAborted(sent)) {
    RetrySoon();
    return absl::UnavailableError(sent.message());
  }
  EndSoon(sent.message());
  return sent;
}

// For what the kernel had no memory for: no event tells when it has some again.
void Session::RetrySoon() {
  constexpr absl::Duration kPause = absl::Milliseconds(10);
  context_.deadlines.Cancel(retry_);
  retry_ = context_.deadlines.At(context_.clock.Now() + kPause, [this] {
    if (!outbox_.empty()) Pump();
  });
}

// Nothing reaches the peer any more. Not at once, because the broker may be sending a notice. What
// the peer sent before still counts: a RELEASE is an acknowledgement.
void Session::EndSoon(absl::string_view why) {
  if (std::exchange(ending_, true)) return;
  context_.loop.Post([alive = alive_, why = std::string(why)] {
    constexpr int kFramesMax = 1024;  // it may go on sending
    for (int i = 0; i < kFramesMax && *alive != nullptr; ++i)
      if (!(*alive)->reading_ || !(*alive)->ReadOne()) break;
    if (*alive != nullptr) (*alive)->PeerGone(why);
  });
}

void Session::Answer(std::uint64_t cookie, const absl::Status& status) {
  Send(context_.out.Error(cookie, status));
}

absl::Status Session::TakeInFlight(std::uint64_t fds) {
  // BUSY would send the client round for ever.
  if (fds > in_flight_max_)
    return Error(ErrorCode::kQuotaExceeded,
                 absl::StrCat(fds, " descriptors in one message; the limits allow ", in_flight_max_,
                              " at a time: ask for fewer (batch_max), or ask the administrator to "
                              "raise [limits] in_flight_fds"));
  absl::Status taken = context_.broker.TakeInFlight(*record_, fds);
  if (taken.ok()) return taken;
  for (Session* session : context_.unread.Due(context_.clock.Now())) session->Sweep();
  return context_.broker.TakeInFlight(*record_, fds);
}

absl::Status Session::SendGrants(Frame frame, absl::Span<const absl::StatusOr<Grant>> grants) {
  context_.fds.clear();
  for (const absl::StatusOr<Grant>& grant : grants)
    if (grant.ok()) context_.fds.push_back(grant->fd);
  CrashPoint("before-grant");
  const absl::Status sent = SendCharged(frame, context_.fds);
  CrashPoint("after-grant");
  return sent;
}

absl::Status Session::SendCharged(Frame frame, absl::Span<const int> fds) {
  const absl::Status sent = Transmit(frame, fds);
  if (sent.ok() && !fds.empty()) {
    grant_out_ = true;
    context_.unread.Add(*this);
    // What was refused is not on its way.
    record_->in_flight.Split(record_->in_flight.amount() - fds.size()).GiveBack();
  } else {
    context_.broker.GiveBackInFlight(*record_);
  }
  return sent;
}

// A peer for whose descriptor there is no room does without the page.
absl::Status Session::SendWelcome(const PendingWelcome& pending) {
  Welcome welcome = WelcomeOf(*record_);
  if (wants_page_ && context_.epoch_page >= 0 && TakeInFlight(1).ok()) {
    const std::uint64_t others = std::exchange(
        welcome.features, welcome.features | std::uint64_t{HLBUF_WIRE_FEATURE_EPOCH_PAGE});
    const absl::Status sent = SendCharged(
        context_.out.Welcome(pending.cookie, pending.opcode, welcome), {&context_.epoch_page, 1});
    if (!absl::IsResourceExhausted(sent)) return sent;
    welcome.features = others;
  }
  return Transmit(context_.out.Welcome(pending.cookie, pending.opcode, welcome));
}

absl::Status Session::SendOpened(std::uint64_t cookie,
                                 absl::Span<const absl::StatusOr<Grant>> results) {
  const absl::Status sent = SendGrants(context_.out.Opened(cookie, results), results);
  if (sent.ok() || absl::IsUnavailable(sent)) return sent;
  context_.leases.clear();
  for (const absl::StatusOr<Grant>& result : results)
    if (result.ok()) context_.leases.push_back(result->lease);
  context_.broker.Release(*record_, context_.leases);
  Answer(cookie, Error(ErrorCode::kBusy, sent.message()));
  return absl::OkStatus();
}

absl::Status Session::SendAllocated(std::uint64_t cookie, LeaseId lease) {
  const absl::StatusOr<Grant> grant = context_.broker.GrantOf(lease);
  absl::Status sent = grant.status();
  if (sent.ok()) sent = TakeInFlight(1);
  if (sent.ok()) {
    sent = SendGrants(context_.out.Allocated(cookie, *grant), {&grant, 1});
    if (sent.ok() || absl::IsUnavailable(sent)) return sent;
    sent = Error(ErrorCode::kBusy, sent.message());
  }
  context_.broker.Release(*record_, {&lease, 1});
  Answer(cookie, sent);
  return absl::OkStatus();
}

absl::Status Session::SendPending(Outbox::Item& item) {
  if (const auto* frame = std::get_if<PendingFrame>(&item)) return Transmit(frame->bytes);
  if (const auto* welcome = std::get_if<PendingWelcome>(&item)) return SendWelcome(*welcome);
  if (const auto* allocated = std::get_if<PendingAllocated>(&item))
    return SendAllocated(allocated->cookie, allocated->lease);
  return SendPendingOpened(std::get<PendingOpened>(item));
}

absl::Status Session::SendPendingOpened(PendingOpened& opened) {
  context_.leases.clear();
  std::uint64_t fds = 0;
  for (absl::StatusOr<Grant>& result : opened.results) {
    if (!result.ok()) continue;
    const LeaseId lease = result->lease;
    result = context_.broker.GrantOf(lease);
    if (result.ok())
      ++fds;
    else
      context_.leases.push_back(lease);
  }
  // The client never hears of these leases; nobody but us can end them.
  context_.broker.Release(*record_, context_.leases);
  if (const absl::Status taken = TakeInFlight(fds); !taken.ok()) {
    for (absl::StatusOr<Grant>& result : opened.results) {
      if (!result.ok()) continue;
      context_.broker.Release(*record_, {&result->lease, 1});
      result = taken;
    }
  }
  return SendOpened(opened.cookie, opened.results);
}

// Sends what was kept, as far as the peer takes it.
void Session::Pump() {
  while (!outbox_.empty() && ReadyToSend()) {
    Outbox::Item item = std::move(outbox_.front());
    outbox_.Pop();
    if (!absl::IsUnavailable(SendPending(item))) continue;
    outbox_.PushFront(std::move(item));
    break;
  }
  if (farewell_.has_value() && outbox_.empty()) return End(SessionEvent::kGoodbye, *farewell_);
  WatchFor();
}

// Reads requests only while their answers could be sent; else waits for the peer to take what it
// was sent.
void Session::WatchFor() {
  const bool reading = outbox_.empty() && ReadyToSend() && allocating_ < kRequestsMax;
  if (reading == reading_) return;
  // Edge-triggered: one event now, which looks again, then one for each message that the peer
  // takes.
  socket_watch_->SetEvents(reading ? static_cast<std::uint32_t>(EPOLLIN) : EPOLLOUT | EPOLLET);
  reading_ = reading;
}

bool Session::OnRevoke(RevokeReason reason, absl::Time deadline,
                       absl::Span<const RevokedLease> leases) {
  if ((record_->state != SessionState::kReady && !reattaching_) || farewell_.has_value())
    return false;
  CrashPoint("before-revoke");
  for (std::size_t at = 0; at < leases.size(); at += HLBUF_WIRE_LEASES_MAX)
    Send(context_.out.Revoke(reason, deadline, leases.subspan(at, HLBUF_WIRE_LEASES_MAX)));
  CrashPoint("after-revoke");
  return !ending_;
}

void Session::OnDevice(absl::string_view device, DeviceState state, std::uint64_t epoch) {
  if (record_->state == SessionState::kReady)
    SendOrKeep(context_.out.Device(device, state, epoch), device);
}

}  // namespace hlbuf
