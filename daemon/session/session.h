// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_SESSION_SESSION_H_
#define HLBUF_DAEMON_SESSION_SESSION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "daemon/base/event_loop.h"
#include "daemon/core/broker.h"
#include "daemon/core/deadlines.h"
#include "daemon/session/codec.h"
#include "daemon/session/outbox.h"
#include "daemon/session/peer_identity.h"
#include "daemon/session/reattach_parts.h"
#include "daemon/session/unread_grants.h"
#include "proto/wire/packet.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

class Session;

// What sessions share; outlives them.
struct SessionContext {
  Broker& broker;
  EventLoop& loop;
  const Clock& clock;
  Deadlines& deadlines;
  int epoch_page;  // for those who ask for it, read-only; -1: there is none
  // Nothing more is sent to the session's peer; told once.
  absl::AnyInvocable<void()> parked;
  // The session has ended and nothing of it is in flight any more; it is destroyed later, not from
  // within.
  absl::AnyInvocable<void(Session&)> ended;
  UnreadGrants unread = {};

  // Scratch memory for one request and its answer. While a session is in the broker, others may be
  // called back (Notices): those use `out` and nothing else of this.
  PacketBuffer in = {};
  FrameWriter out = {};
  std::vector<OpenItem> items = {};
  std::vector<absl::StatusOr<Grant>> results = {};
  std::vector<LeaseId> leases = {};
  std::vector<int> fds = {};
};

// One client connection on the data plane. Broker thread.
//
// At most one message with descriptors is under way to a peer. The kernel tells when it was
// received (SIOCOUTQ, and EPOLLOUT for each message that the peer takes); until then nothing more
// is sent, and nothing more is read. What is in an unread message cannot be taken back: not by
// closing, not by shutdown(). So a session that ends with one stays PARKED, charged to its domain,
// until the peer or the kernel has emptied the queue.
class Session final : public Notices {
 public:
  static constexpr std::uint32_t kRequestsMax = 16;

  // Errors: QUOTA_EXCEEDED, and those of watching the descriptors; the socket is closed then.
  static absl::StatusOr<std::unique_ptr<Session>> Begin(SessionContext& context, UniqueFd socket,
                                                        PeerIdentity identity);
  ~Session() override;

  // Ends the session from our side, when GOODBYE could be sent: it is the last frame, behind what
  // was kept. Until then nothing is read. Nothing happens when it is ending already.
  void Goodbye(hlbuf_wire_goodbye_reason reason, absl::string_view text);
  // The same, when the service stops and its state is kept: to the broker the session goes on, and
  // the client is told to come back.
  void LeaveOpen(absl::string_view text);
  // Ends the session at once, whatever could not be sent.
  void Cut(absl::string_view why);
  // A PING, unless the last one is not answered yet: then that is told, once. Who has not taken a
  // grant is asked as well, behind it.
  void Ping();
  // Gives back what the peer has received meanwhile.
  void Sweep() override;

  // Until SessionContext::ended was told.
  const SessionRecord& record() const { return *record_; }

  bool OnRevoke(RevokeReason reason, absl::Time deadline,
                absl::Span<const RevokedLease> leases) override;
  void OnDevice(absl::string_view device, DeviceState state, std::uint64_t epoch) override;
  absl::Status Signal(Force force) override;

 private:
  // Of `identity` it keeps all but the peer.
  Session(SessionContext& context, UniqueFd socket, PeerIdentity& identity);

  void OnSocket(std::uint32_t revents);
  // False when there was nothing to read.
  bool ReadOne();
  void Handle(Frame frame);
  absl::Status Dispatch(const hlbuf_wire_header& header, Frame frame);
  absl::Status HandleHello(std::uint64_t cookie, Frame frame);
  absl::Status HandleReattach(std::uint64_t cookie, Frame frame);
  absl::Status Reattach(std::uint64_t cookie, const Reattachment& asked);
  absl::Status RefuseReattach(std::uint64_t cookie, const absl::Status& why);
  std::uint64_t ReattachedLeasesMax(SessionId asked) const;
  std::optional<LeaseId> AllocatedBefore(std::uint64_t cookie);
  static absl::Status CheckVersion(std::uint32_t version);
  Welcome WelcomeOf(const SessionRecord& record) const;
  absl::Status HandleAllocate(std::uint64_t cookie, Frame frame);
  void OnAllocated(std::uint64_t cookie, absl::StatusOr<LeaseId> lease);
  absl::Status HandleOpen(std::uint64_t cookie, Frame frame);
  absl::Status HandleShare(std::uint64_t cookie, Frame frame, bool share);
  absl::Status HandleRelease(Frame frame);
  absl::Status HandlePong(Frame frame);

  // Sends now, or keeps for later.
  void Send(Frame frame);
  void SendOrKeep(Frame frame, absl::string_view device);
  bool ReadyToSend();
  // UNAVAILABLE: not now; keep it. Anything else was answered, one way or the other.
  absl::Status SendWelcome(const PendingWelcome& welcome);
  absl::Status SendOpened(std::uint64_t cookie, absl::Span<const absl::StatusOr<Grant>> results);
  absl::Status SendAllocated(std::uint64_t cookie, LeaseId lease);
  // UNAVAILABLE: not now; keep it. RESOURCE_EXHAUSTED: too many descriptors. After any other error
  // the session ends by itself, soon.
  absl::Status Transmit(Frame frame, absl::Span<const int> fds = {});
  void RetrySoon();
  void EndSoon(absl::string_view why);
  absl::Status SendGrants(Frame frame, absl::Span<const absl::StatusOr<Grant>> grants);
  absl::Status SendCharged(Frame frame, absl::Span<const int> fds);
  absl::Status SendPending(Outbox::Item& item);
  absl::Status SendPendingOpened(PendingOpened& opened);
  void Pump();
  void WatchFor();
  absl::Status TakeInFlight(std::uint64_t fds);
  void Answer(std::uint64_t cookie, const absl::Status& status);

  // `cookie` of the frame that did it; 0 where there is none to read.
  void Violated(const absl::Status& status, std::uint64_t cookie = 0);
  void PeerGone(absl::string_view why);
  void SayGoodbye(hlbuf_wire_goodbye_reason reason, absl::string_view text);
  void End(SessionEvent on, absl::string_view why);
  void Leave();
  void StopServing();
  void Park(SessionEvent on, absl::string_view why);
  void EndIfEmpty();

  SessionContext& context_;
  const std::uint64_t in_flight_max_;  // more descriptors than this never fit, whoever reads
  UniqueFd socket_;
  UniqueFd pidfd_;
  const bool vouched_;  // that `pidfd_` is the peer's
  SessionRecord* record_ = nullptr;
  std::unique_ptr<EventLoop::Watch> socket_watch_;
  std::unique_ptr<EventLoop::Watch> exit_watch_;
  Outbox outbox_;
  std::uint32_t allocating_ = 0;  // requests whose answer the worker owes
  bool grant_out_ = false;  // a message with descriptors was sent, and not seen to be received
  bool reading_ = true;     // what the socket is watched for
  bool ending_ = false;     // EndSoon() was called
  bool keep_ = false;       // once GOODBYE is out, the broker is not told that this is over
  bool left_ = false;       // it is out
  std::optional<std::string> farewell_;         // GOODBYE's text; no frame comes behind it
  std::unique_ptr<ReattachParts> parts_;        // of a REATTACH that is not complete
  bool reattaching_ = false;                    // its answer comes before everything else
  absl::flat_hash_set<std::uint64_t> repeats_;  // cookies of ALLOCATEs that come again
  Deadlines::Handle retry_ = {};
  std::uint64_t ping_nonce_ = 0;  // of the unanswered PING; 0: none
  absl::Time ping_sent_;
  bool wants_page_ = false;          // its client maps the epoch page
  std::shared_ptr<Session*> alive_;  // for answers of the worker that come after the end
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_SESSION_SESSION_H_
