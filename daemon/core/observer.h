// SPDX-License-Identifier: Apache-2.0
// What the broker tells the outside: events for watchers and logs, notices for clients.
#ifndef HLBUF_DAEMON_CORE_OBSERVER_H_
#define HLBUF_DAEMON_CORE_OBSERVER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "daemon/core/ids.h"
#include "daemon/core/peer.h"
#include "daemon/core/states.h"

namespace hlbuf {

// Numbers are those of enum hlbuf_wire_revoke_reason.
enum class RevokeReason : std::uint8_t { kReset = 1, kOperator = 2, kUnshared = 3, kLost = 4 };
absl::string_view RevokeReasonText(RevokeReason reason);

// What is sent to the process of a holder that does not let go; each is worse than the one before.
enum class Force : std::uint8_t { kNone, kTerminate, kKill };
absl::string_view ForceText(Force force);  // "SIGTERM"

// What became of a buffer that was asked back.
struct Verdict {
  enum class Kind : std::uint8_t {
    kProven,        // the kernel shows no reference but ours
    kAcknowledged,  // every holder said so; this device gives no count
    kHeld,          // the deadline passed and `references` are still out
  };
  Kind kind = Kind::kProven;
  std::uint32_t references = 0;  // kHeld: as the kernel counts them, else the leases that are out
  bool counted_late = false;     // kHeld: `references` are of an earlier count, or a guess
};
absl::string_view VerdictText(Verdict::Kind kind);

// Numbers are those of the control API's, less its UNSPECIFIED.
enum class EventKind : std::uint8_t {
  kDeviceState,
  kBufferAllocated,
  kBufferFreed,
  kLeaseGranted,     // only told while Observer::wants_leases()
  kLeaseEnded,       // likewise
  kRevocationBegan,  // without an id: an UNSHARE asked leases back
  kBufferVerdict,
  kRevocationEnded,  // without an id: a lease that an UNSHARE asked back is OVERDUE
  kSessionBegan,
  kSessionEnded,
  kRequestRefused,  // by policy, by quota, or because the device failed
  kProtocolBroken,  // by a peer
  kPingUnanswered,
  kReferencesOutliveLeases,  // for more than a second
  kOperatorRequest,          // `domain` and `pid` asked for a change through the control API
  kHoldersFound,             // who has the buffer, as root sees it
  kHolderSignalled,          // or could not be, as the text says
  kOpenerLost,               // whoever opened `device` died without a reset, and it goes on
  kStateLost,                // what an earlier process had written down could not be read
  kBuffersLost,              // ended by a restart, `count` of them
  kLeasesLost,               // of those, likewise
  kHandlesLost,              // buffers that came back without a descriptor, likewise
  kJournalFailed,            // no more is written down
  kStateUnkept,              // the service manager, or a keeper of `device`, has not all of it
  kKeeperLost,               // whoever kept copies of what `device` has died
};
inline constexpr std::size_t kEventKindCount = 25;
absl::string_view EventKindText(EventKind kind);
// Something that clients or operators had is gone, and no reset or request was the reason.
bool IsLoss(EventKind kind);
// Nothing is gone yet: what is held would not survive the end of this process.
bool IsRisk(EventKind kind);

// One thing that happened. Fields that say nothing about it are empty.
struct Event {
  EventKind kind = EventKind::kDeviceState;
  absl::Time time;  // of the injected clock
  std::string device;
  BufferId buffer;
  LeaseId lease;
  SessionId session;
  RevocationId revocation;
  Domain domain;  // whose buffer or session
  pid_t pid = 0;
  std::string text;                  // for people; peers' bytes never reach it unchecked
  std::optional<Verdict> verdict;    // kBufferVerdict
  std::optional<DeviceState> state;  // kDeviceState: the new one
  std::uint64_t count = 0;           // of a loss: how many; 0: one
};

// Broker thread. Must not call back into the broker, must not block.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnEvent(const Event& event) = 0;
  // Per-grant events cost the hand-over path; they are made only on request.
  virtual bool wants_leases() const { return false; }
};

struct RevokedLease {
  LeaseId lease;
  BufferId buffer;
};

// The client's end of a session, as the broker sees it. Broker thread; must not call back into the
// broker.
class Notices {
 public:
  virtual ~Notices() = default;
  // All leases of this session that one revocation asks back, in one call. `deadline` is of the
  // injected clock. True: the client has the notice, or will when it has read what came before.
  virtual bool OnRevoke(RevokeReason reason, absl::Time deadline,
                        absl::Span<const RevokedLease> leases) = 0;
  virtual void OnDevice(absl::string_view device, DeviceState state, std::uint64_t epoch) = 0;
  // Gives back what is charged as in flight and was received meanwhile, because somebody wants to
  // know. The one call of which that much may reach the broker.
  virtual void Sweep() {}
  // Sends a signal to the client's process. Errors, in words: NOT_FOUND when it has exited, else
  // why it got none.
  virtual absl::Status Signal(Force force) = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_OBSERVER_H_
