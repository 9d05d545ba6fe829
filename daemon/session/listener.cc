// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/listener.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"

// Linux 6.16; not in the C library's headers of Debian 12.
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

namespace hlbuf {
namespace {

// While descriptors are short: how many connections are refused in one iteration of the loop, and
// how long nobody is listened to after that. In the backlog a connection costs nothing.
constexpr int kRefusedAtOnce = 64;
constexpr absl::Duration kBackOff = absl::Milliseconds(100);

UniqueFd Reserve() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

Listener::Listener(Broker& broker, EventLoop& loop, const Clock& clock, UniqueFd socket,
                   SessionTiming timing, int epoch_page)
    : broker_(broker),
      loop_(loop),
      clock_(clock),
      timing_(timing),
      context_{.broker = broker,
               .loop = loop,
               .clock = clock,
               .deadlines = deadlines_,
               .epoch_page = epoch_page,
               .parked =
                   [this] {
                     --open_;
                     TellIfAllAreOut();
                   },
               .ended = [this](Session& session) { Ended(session); }},
      socket_(std::move(socket)),
      reserve_(Reserve()) {}

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(Broker& broker, EventLoop& loop,
                                                          const Clock& clock, UniqueFd socket,
                                                          SessionTiming timing, int epoch_page) {
  // Accepted sockets inherit it: clients cannot even send descriptors (EPERM). Older kernels do not
  // know it; there every session takes, closes, and ends.
  const int off = 0;
  static_cast<void>(::setsockopt(socket.get(), SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)));
  std::unique_ptr<Listener> listener(
      new Listener(broker, loop, clock, std::move(socket), timing, epoch_page));
  Listener* const self = listener.get();
  ASSIGN_OR_RETURN(self->watch_, loop.AddIo(self->socket_.get(), EPOLLIN,
                                            [self](std::uint32_t) { self->OnConnection(); }));
  self->SetPingTimer();
  return listener;
}

Listener::~Listener() = default;

UniqueFd Listener::Accept() {
  return UniqueFd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

void Listener::OnConnection() {
  if (!reserve_) reserve_ = Reserve();
  UniqueFd socket = Accept();
  if (socket) return Begin(std::move(socket));
  if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
  RefuseWaiting();
  BackOff();
}

void Listener::RefuseWaiting() {
  for (int i = 0; i < kRefusedAtOnce; ++i) {
    reserve_.Reset();
    const bool accepted = static_cast<bool>(Accept());  // and closed
    reserve_ = Reserve();
    if (!accepted) return;
    if (i == 0) Refuse("no file descriptor is left; raise LimitNOFILE=");
  }
}

// Whatever it is that accept() fails of, the connection that waits keeps the socket readable.
void Listener::BackOff() {
  watch_->SetEvents(0);
  deadlines_.At(clock_.Now() + kBackOff, [this] {
    if (watch_ != nullptr && !held_) watch_->SetEvents(EPOLLIN);
  });
}

void Listener::Hold() {
  held_ = true;
  watch_->SetEvents(0);
}

void Listener::Continue() {
  held_ = false;
  if (watch_ != nullptr) watch_->SetEvents(EPOLLIN);
}

void Listener::Refuse(absl::string_view why) {
  broker_.Tell({.kind = EventKind::kRequestRefused, .text = absl::StrCat("connect: ", why)});
}

void Listener::Begin(UniqueFd socket) {
  absl::StatusOr<PeerIdentity> identity = IdentifyPeer(socket.get());
  if (!identity.ok()) return Refuse(identity.status().message());
  absl::StatusOr<std::unique_ptr<Session>> begun =
      Session::Begin(context_, std::move(socket), *std::move(identity));
  if (!begun.ok()) {
    // Of a quota the broker has told already.
    if (ErrorCodeOf(begun.status()) != ErrorCode::kQuotaExceeded) Refuse(begun.status().message());
    return;
  }
  Session* const session = begun->get();
  ++open_;
  const Deadlines::Handle hello = deadlines_.At(clock_.Now() + timing_.hello_timeout, [session] {
    if (session->record().state != SessionState::kNew) return;
    session->Goodbye(HLBUF_WIRE_GOODBYE_HELLO, "no HELLO came in time");
    session->Cut("no HELLO came in time");
  });
  sessions_.emplace(session, Served{.session = *std::move(begun), .hello = hello});
}

void Listener::SetTiming(SessionTiming timing) {
  timing_ = timing;
  deadlines_.Cancel(ping_);
  SetPingTimer();
}

void Listener::SetPingTimer() {
  ping_ = deadlines_.At(clock_.Now() + timing_.ping_interval, [this] { PingAll(); });
}

void Listener::PingAll() {
  for (Session* session : All()) session->Ping();
  SetPingTimer();
}

void Listener::Ended(Session& session) {
  const auto it = sessions_.find(&session);
  if (buried_.empty()) loop_.Post([this] { buried_.clear(); });
  deadlines_.Cancel(it->second.hello);
  buried_.push_back(std::move(it->second.session));
  sessions_.erase(it);
}

std::vector<Session*> Listener::All() const {
  std::vector<Session*> all;
  for (const auto& [session, served] : sessions_) all.push_back(session);
  return all;
}

void Listener::Shutdown(absl::string_view text, Leases leases, absl::Duration patience,
                        absl::AnyInvocable<void() &&> done) {
  watch_.reset();
  for (Session* session : All()) {
    if (leases == Leases::kKept)
      session->LeaveOpen(text);
    else
      session->Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, text);
  }
  deadlines_.At(clock_.Now() + patience, [this] {
    for (Session* session : All()) session->Cut("the service stops; the client reads nothing");
  });
  shut_down_ = std::move(done);
  TellIfAllAreOut();
}

void Listener::TellIfAllAreOut() {
  if (open_ > 0 || shut_down_ == nullptr) return;
  loop_.Post(std::exchange(shut_down_, nullptr));
}

}  // namespace hlbuf
