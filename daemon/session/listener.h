// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_SESSION_LISTENER_H_
#define HLBUF_DAEMON_SESSION_LISTENER_H_

#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "daemon/base/event_loop.h"
#include "daemon/core/broker.h"
#include "daemon/core/deadlines.h"
#include "daemon/session/session.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

struct SessionTiming {
  absl::Duration hello_timeout = absl::Seconds(2);
  absl::Duration ping_interval = absl::Seconds(30);
};

// Accepts clients and owns their sessions. Broker thread.
//
// One descriptor is kept in reserve: when the process has none left, it is given up to accept the
// connections that wait and to close them at once, so that their clients learn of it. Where even
// that fails, nobody is listened to for a moment: a connection in the backlog keeps the listener
// readable, and would keep this loop busy.
class Listener {
 public:
  // `socket` is a listening SOCK_SEQPACKET socket. `epoch_page`: a descriptor for clients, which
  // outlives this; -1: there is none.
  static absl::StatusOr<std::unique_ptr<Listener>> Start(Broker& broker, EventLoop& loop,
                                                         const Clock& clock, UniqueFd socket,
                                                         SessionTiming timing, int epoch_page = -1);
  ~Listener();

  // Who connects waits in the backlog from now on, until Continue().
  void Hold();
  void Continue();

  // Serves the other end of a connected socket, as of those that it accepts.
  void Begin(UniqueFd socket);

  // For sessions that begin from now on, and for pings.
  void SetTiming(SessionTiming timing);

  // What becomes of the leases when the service stops.
  enum class Leases : std::uint8_t { kEnd, kKept };

  // GOODBYE to every session, and no new ones. Where their leases are kept, the broker is not told
  // that they are over, and whoever comes back finds them with the next process of the service. A
  // peer that has not taken what was sent to it before gets its GOODBYE behind that, if it takes it
  // within `patience`. Then, or when all are out, `done` is called from the loop. Once.
  void Shutdown(absl::string_view text, Leases leases, absl::Duration patience,
                absl::AnyInvocable<void() &&> done);

  absl::Time NextDeadline() const { return deadlines_.Next(); }
  void RunDeadlines() { deadlines_.Run(clock_.Now()); }
  std::size_t session_count() const { return sessions_.size(); }

 private:
  Listener(Broker& broker, EventLoop& loop, const Clock& clock, UniqueFd socket,
           SessionTiming timing, int epoch_page);
  UniqueFd Accept();
  void OnConnection();
  void RefuseWaiting();
  void BackOff();
  void Refuse(absl::string_view why);
  std::vector<Session*> All() const;
  void SetPingTimer();
  void PingAll();
  void TellIfAllAreOut();
  void Ended(Session& session);

  Broker& broker_;
  EventLoop& loop_;
  const Clock& clock_;
  SessionTiming timing_;
  Deadlines deadlines_;
  Deadlines::Handle ping_;
  SessionContext context_;
  UniqueFd socket_;
  UniqueFd reserve_;
  bool held_ = false;
  std::unique_ptr<EventLoop::Watch> watch_;
  struct Served {
    std::unique_ptr<Session> session;
    Deadlines::Handle hello;
  };
  absl::flat_hash_map<Session*, Served> sessions_;
  std::size_t open_ = 0;                     // sessions that are not parked
  absl::AnyInvocable<void() &&> shut_down_;  // null: nobody waits for it
  std::vector<std::unique_ptr<Session>>
      buried_;  // ended; destroyed from the loop, not from within their own tasks
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_SESSION_LISTENER_H_
