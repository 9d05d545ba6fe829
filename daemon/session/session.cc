// SPDX-License-Identifier: Apache-2.0
// The life of a session; what it sends is in session_send.cc, what it is asked in
// session_requests.cc.
#include "daemon/session/session.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/session/peer_signal.h"

namespace hlbuf {
namespace {

// The least of the limits that a message's descriptors count against.
std::uint64_t InFlightMax(const QuotaLimits& limits) {
  constexpr auto kInFlight = static_cast<std::size_t>(Resource::kInFlight);
  return std::min({limits.domain[kInFlight], limits.uid[kInFlight], limits.service[kInFlight]});
}

// A frame must fit into the send buffer, whatever net.core.wmem_default was set to. More than
// net.core.wmem_max it cannot get; a frame that does not fit then ends its session.
void MakeRoomForAFrame(int socket) {
  constexpr int kNeeded = HLBUF_WIRE_FRAME_BYTES_MAX + 1024;
  int bytes = 0;
  socklen_t length = sizeof(bytes);
  if (::getsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, &length) != 0 || bytes >= kNeeded) return;
  static_cast<void>(::setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &kNeeded, sizeof(kNeeded)));
}

}  // namespace

Session::Session(SessionContext& context, UniqueFd socket, PeerIdentity& identity)
    : context_(context),
      in_flight_max_(InFlightMax(context.broker.settings().limits)),
      socket_(std::move(socket)),
      pidfd_(std::move(identity.pidfd)),
      vouched_(identity.vouched),
      alive_(std::make_shared<Session*>(this)) {}

Session::~Session() {
  *alive_ = nullptr;
  context_.deadlines.Cancel(retry_);
  context_.unread.Remove(*this);
}

absl::StatusOr<std::unique_ptr<Session>> Session::Begin(SessionContext& context, UniqueFd socket,
                                                        PeerIdentity identity) {
  std::unique_ptr<Session> session(new Session(context, std::move(socket), identity));
  Session* const self = session.get();
  MakeRoomForAFrame(self->socket_.get());
  ASSIGN_OR_RETURN(session->socket_watch_,
                   context.loop.AddIo(self->socket_.get(), EPOLLIN,
                                      [self](std::uint32_t revents) { self->OnSocket(revents); }));
  if (session->pidfd_) {
    ASSIGN_OR_RETURN(
        session->exit_watch_,
        context.loop.AddIo(self->pidfd_.get(), EPOLLIN | EPOLLET,
                           [self](std::uint32_t) { self->PeerGone("its process exited"); }));
  }
  absl::StatusOr<SessionRecord*> record = context.broker.Connect(std::move(identity.peer), *self);
  if (!record.ok()) {
    // The peer learns why; it has received nothing yet, so there is nothing to wait for.
    SendPacket(self->socket_.get(),
               context.out.Goodbye(HLBUF_WIRE_GOODBYE_QUOTA, false, record.status().message()))
        .IgnoreError();
    return record.status();
  }
  session->record_ = *record;
  return session;
}

void Session::OnSocket(std::uint32_t revents) {
  if (record_ == nullptr || left_) return;
  if (record_->state == SessionState::kParked) return EndIfEmpty();
  if (!reading_ || !outbox_.empty()) Pump();
  if (record_ == nullptr || record_->state == SessionState::kParked || left_) return;
  if (reading_ && (revents & EPOLLIN) != 0)
    ReadOne();
  else if ((revents & (EPOLLHUP | EPOLLERR)) != 0)
    PeerGone("its connection ended");
}

bool Session::ReadOne() {
  if (!ReadyToSend()) {
    WatchFor();
    return false;
  }
  const absl::Status received = ReceivePacket(socket_.get(), context_.in);
  if (absl::IsUnavailable(received)) return false;
  if (absl::IsDataLoss(received)) {
    Violated(Error(ErrorCode::kProtocolError, received.message()));
  } else if (!received.ok()) {
    PeerGone(absl::IsOutOfRange(received) ? "its connection ended" : received.message());
  } else if (!context_.in.fds().empty()) {
    context_.in.fds().clear();
    Violated(Error(ErrorCode::kProtocolError, "descriptors came along; this session accepts none"));
  } else {
    Handle(context_.in.bytes());
  }
  return true;
}

void Session::Handle(Frame frame) {
  const absl::StatusOr<hlbuf_wire_header> header = DecodeHeader(frame);
  if (!header.ok()) return Violated(header.status());
  const absl::Status handled = Dispatch(*header, frame);
  if (handled.ok()) return;
  if (ErrorCodeOf(handled) == ErrorCode::kProtocolError) return Violated(handled, header->cookie);
  // What was sent one-way has no cookie, and nobody waits for its answer.
  if (header->cookie != 0) Answer(header->cookie, handled);
}

void Session::Violated(const absl::Status& status, std::uint64_t cookie) {
  context_.broker.Tell({.kind = EventKind::kProtocolBroken,
                        .session = record_->id,
                        .domain = record_->peer.domain(),
                        .pid = record_->peer.pid,
                        .text = std::string(status.message())});
  // A client takes an ERROR for the answer to a request of its own; GOODBYE says the same to all.
  if (cookie != 0) Answer(cookie, status);
  Send(context_.out.Goodbye(HLBUF_WIRE_GOODBYE_PROTOCOL, false, status.message()));
  Park(SessionEvent::kViolation, "it broke the protocol");
}

void Session::Goodbye(hlbuf_wire_goodbye_reason reason, absl::string_view text) {
  if (record_->state == SessionState::kParked || farewell_.has_value()) return;
  SayGoodbye(reason, text);
}

void Session::LeaveOpen(absl::string_view text) {
  if (record_->state == SessionState::kParked || farewell_.has_value()) return;
  keep_ = true;
  SayGoodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, text);
}

void Session::SayGoodbye(hlbuf_wire_goodbye_reason reason, absl::string_view text) {
  Send(context_.out.Goodbye(reason, keep_, text));
  farewell_ = std::string(text);
  if (outbox_.empty()) End(SessionEvent::kGoodbye, *farewell_);
}

void Session::Cut(absl::string_view why) {
  if (record_ != nullptr && record_->state != SessionState::kParked)
    End(SessionEvent::kGoodbye, why);
}

void Session::PeerGone(absl::string_view why) {
  if (record_ != nullptr && record_->state != SessionState::kParked && !left_)
    Park(SessionEvent::kPeerGone, why);
}

// Whose connection is broken has gone by itself, and is not kept.
void Session::End(SessionEvent on, absl::string_view why) {
  if (keep_ && !ending_ && record_->state == SessionState::kReady)
    Leave();
  else
    Park(on, why);
}

// Its end of file, when the client obeys, is no end of the session.
void Session::Leave() {
  if (std::exchange(left_, true)) return;
  StopServing();
  socket_watch_->SetEvents(EPOLLET);  // a hang-up is told, whatever is asked for
  context_.parked();
}

void Session::Park(SessionEvent on, absl::string_view why) {
  StopServing();
  context_.broker.Park(*record_, on, why);
  socket_watch_->SetEvents(EPOLLOUT | EPOLLET);
  context_.parked();
  EndIfEmpty();
}

void Session::StopServing() {
  *alive_ = nullptr;
  context_.deadlines.Cancel(retry_);
  outbox_.Clear();
  // A worker of the peer that inherited the socket sees the end of file, too.
  ::shutdown(socket_.get(), SHUT_RDWR);
  // Nothing reads it any more: descriptors that the peer has put there would stay as long as we do.
  DiscardReceived(socket_.get());
}

void Session::EndIfEmpty() {
  if (record_->in_flight.amount() > 0 && !PeerTookEverything(socket_.get())) return;
  context_.unread.Remove(*this);
  context_.broker.Forget(*std::exchange(record_, nullptr));
  context_.ended(*this);
}

absl::Status Session::Signal(Force force) {
  if (!pidfd_)
    return absl::FailedPreconditionError(
        "its process is not visible from here: it is of another pid namespace");
  if (!vouched_)
    return absl::FailedPreconditionError(
        "this kernel does not vouch for whose process it is; that takes Linux 6.5");
  if (record_->peer.pid == ::getpid())
    return absl::FailedPreconditionError("its process is this service itself");
  return SignalProcess(pidfd_.get(), force);
}

void Session::Sweep() {
  if (!grant_out_ || !PeerTookEverything(socket_.get())) return;
  grant_out_ = false;
  context_.unread.Remove(*this);
  context_.broker.GiveBackInFlight(*record_);
}

void Session::Ping() {
  if (record_->state != SessionState::kReady) return;
  if (ping_nonce_ != 0) {
    if (record_->unanswered_ping_since.has_value()) return;
    record_->unanswered_ping_since = ping_sent_;
    context_.broker.Tell({.kind = EventKind::kPingUnanswered,
                          .session = record_->id,
                          .domain = record_->peer.domain(),
                          .pid = record_->peer.pid,
                          .text = "it has not answered: it is stopped, or does not read its "
                                  "notices; that costs it nothing until a revocation comes"});
    return;
  }
  ping_nonce_ = static_cast<std::uint64_t>(absl::ToUnixNanos(context_.clock.Now()));
  ping_sent_ = context_.clock.Now();
  Send(context_.out.Ping(ping_nonce_));
}

}  // namespace hlbuf
