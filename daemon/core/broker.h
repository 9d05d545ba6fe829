// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_BROKER_H_
#define HLBUF_DAEMON_CORE_BROKER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "daemon/core/absences.h"
#include "daemon/core/device.h"
#include "daemon/core/draining.h"
#include "daemon/core/emptying.h"
#include "daemon/core/inquiry.h"
#include "daemon/core/kept.h"
#include "daemon/core/ledger.h"
#include "daemon/core/policy.h"
#include "daemon/core/reattachment.h"
#include "daemon/core/reset_plan.h"
#include "daemon/core/resets.h"
#include "daemon/core/revocations.h"
#include "daemon/core/waiting_allocations.h"

namespace hlbuf {

struct BrokerSettings {
  QuotaLimits limits;
  std::string default_device;  // empty: the first one added
  // RevokeBuffers and UNSHARE, unless the request says otherwise.
  absl::Duration operator_grace = absl::Seconds(10);
  // Below the 30 s in which the habanalabs driver waits.
  absl::Duration reset_grace = absl::Seconds(20);
  EnforcementSettings enforcement = {};
  std::uint64_t first_id = 1;
  std::uint64_t first_epoch = 1;
  // After a restart: how long who had a session can come back for it.
  absl::Duration reattach_grace = absl::Seconds(60);
};

struct DrainRequest {
  std::string by;                       // in words: who asks
  std::optional<absl::Duration> grace;  // asks back what is held; not set: it may be held on
  absl::Duration patience;              // how long to wait until nothing of the device is held
  Emptying::Wanted wanted;              // null: whoever asks waits to the end
};

// Whose things an operator asks back.
struct Whose {
  enum class Kind : std::uint8_t { kUid, kJob };
  Kind kind = Kind::kUid;
  std::uint32_t id = 0;

  bool Is(const Peer& peer) const { return (kind == Kind::kUid ? peer.uid : peer.job) == id; }
  bool Owns(const BufferRecord& buffer) const {
    return (kind == Kind::kUid ? buffer.owner->domain.uid : buffer.job) == id;
  }
};

struct OpenItem {
  BufferId id;  // 0: by name
  absl::string_view name;
  uid_t owner_uid = static_cast<uid_t>(-1);  // of the name; -1: the asker's own domain
};

// A lease and the descriptor to send with it. `fd` is borrowed and good until the broker is called
// again.
struct Grant {
  BufferId buffer;
  LeaseId lease;
  std::uint64_t size_bytes = 0;
  std::uint64_t epoch = 0;
  std::uint32_t epoch_slot = 0;
  int fd = -1;
};

struct NewDevice {
  std::string name;
  std::unique_ptr<Backend> backend;
};

// Decides who holds which buffer. Knows no sockets, protobuf, threads or clocks of its own: inputs
// are values, outputs are values, or calls on Observer and Notices. Broker thread only; never
// blocks.
//
// Every refusal is a status of core/error.h: what, why, and what to do about it.
class Broker {
 public:
  // `witness`: who can see what other processes have; may be null. `recorder` and `page` outlive
  // this.
  Broker(BrokerSettings settings, Policy policy, const Clock& clock, Observer& observer,
         Witness* witness = nullptr, Recorder& recorder = Recorder::None(),
         EpochPage& page = EpochPage::None());
  ~Broker();

  // Devices. Opening begins at once; its outcome is a DEVICE_STATE event.
  Device& AddDevice(std::string name, std::unique_ptr<Backend> backend);
  // Instead, of all devices at once, and before anything else: goes on with what an earlier process
  // of this service left, which is Check()ed. With nothing kept its devices are resumed all the
  // same: a keeper may have what no record tells of.
  void Restore(Kept kept, std::vector<NewDevice> devices);
  // Calls `done` once every device of Restore() has said what became of it, or cannot be asked, or
  // after `patience`: who comes before may be refused what he can have later. Must not call back.
  void WhenRestored(absl::Duration patience, absl::AnyInvocable<void() &&> done);
  // From now on nothing changes any more: the next process finds everything as it is now. What is
  // asked is refused.
  void Suspend() { ledger_.suspended = true; }
  Device* FindDevice(absl::string_view name) const;
  const std::vector<std::unique_ptr<Device>>& devices() const { return devices_; }
  const Device* default_device() const;
  // Sessions whose clients have not come back.
  const Absences& absences() const { return absences_; }

  // Sessions. A record lives from Connect() until Forget(); `notices` lives longer.
  // Errors: QUOTA_EXCEEDED.
  absl::StatusOr<SessionRecord*> Connect(Peer peer, Notices& notices);
  // Not OK: it is NEW still. Errors: QUOTA_EXCEEDED  there is no memory to write it down
  absl::Status Greet(SessionRecord& session, std::string client);
  // Ends all leases of a NEW or READY session. The record stays, PARKED, with its charges, as long
  // as the peer has not taken what was sent.
  void Park(SessionRecord& session, SessionEvent on, absl::string_view why);
  void Forget(SessionRecord& session);

  // Instead of Greet(): `fresh`, which is NEW, gets the session that its client had; from then on
  // that has the notices and the secret of `fresh`, and the one that was shown is good for one more
  // restart. What it has to be told is told after this has returned. Errors leave `fresh` NEW.
  // NOT_FOUND: there is none of that id that waits; PERMISSION_DENIED: it is another process's, or
  // the secret is wrong, which is told as an event.
  absl::StatusOr<Reattached> Reattach(SessionRecord& fresh, const Reattachment& asked);
  // The lease that this request of the session was granted before a restart, asked back meanwhile
  // or not, as long as it has it. Looks at all leases of the session.
  std::optional<LeaseId> AllocatedBefore(const SessionRecord& session, std::uint64_t cookie) const;

  // Charges descriptors about to be sent. Errors: BUSY.
  absl::Status TakeInFlight(SessionRecord& session, std::uint64_t fds);
  void GiveBackInFlight(SessionRecord& session) { session.in_flight.GiveBack(); }

  // `done` runs later, with a lease, unless the session has been parked meanwhile: then it gets
  // GONE and holds nothing. Errors: INVALID_ARGUMENT, NOT_FOUND (device), PERMISSION_DENIED,
  // ALREADY_EXISTS, QUOTA_EXCEEDED, DEVICE_UNAVAILABLE (after the request's wait, if the device
  // comes back by itself), and those of Backend::Allocate.
  using Allocated = AwaitedAllocation::Done;
  void Allocate(SessionRecord& session, AllocateRequest request, Allocated done);

  // One result for each item, in order. Not OK: the limits do not allow the whole batch, and
  // nothing was granted. Errors of an item: NOT_FOUND, GONE, REVOKED, PERMISSION_DENIED.
  absl::Status Open(SessionRecord& session, absl::Span<const OpenItem> items,
                    std::vector<absl::StatusOr<Grant>>& results);

  // The grant of a lease, for a descriptor that is sent later than it was granted.
  // Errors: REVOKED when the lease was asked back or has ended meanwhile.
  absl::StatusOr<Grant> GrantOf(LeaseId lease) const;

  // Ids that are not this session's, or not any more, are ignored.
  void Release(SessionRecord& session, absl::Span<const LeaseId> leases);

  // Errors: NOT_FOUND, GONE, PERMISSION_DENIED, INVALID_ARGUMENT (nobody); of Share() also REVOKED
  // and QUOTA_EXCEEDED.
  absl::Status Share(SessionRecord& session, BufferId buffer, Grantee grantee);
  absl::Status Unshare(SessionRecord& session, BufferId buffer, Grantee grantee);

  // Operators' requests; who may make them was decided outside.
  // Errors: NOT_FOUND, GONE; nothing is revoked then, and `done` is not called. A buffer that is
  // named twice is revoked once.
  absl::StatusOr<RevocationId> RevokeBuffers(absl::Span<const BufferId> buffers,
                                             absl::Duration grace, Revocations::Done done);
  // Ends every buffer of a user or a job, for everybody, and asks back what its sessions hold of
  // others' buffers, which live on. What is being allocated for it is not granted.
  // Errors: INVALID_ARGUMENT (job 0, which no job has); `done` is not called then.
  absl::StatusOr<RevocationId> RevokeHoldings(Whose whose, absl::Duration grace,
                                              Revocations::Done done);
  // Errors: NOT_FOUND, DEVICE_UNAVAILABLE, UNIMPLEMENTED (a device that can only be reset for
  // real).
  absl::Status SimulateReset(absl::string_view device, Drill drill, absl::Duration grace,
                             Resets::Done done);

  // Keeps the device out of use, whatever its state, over resets, until UndrainDevice(). `done` is
  // called when nothing of it is allocated any more, when the patience is over, or when it is
  // drained no longer. Errors: NOT_FOUND; `done` is not called then.
  absl::Status DrainDevice(absl::string_view device, DrainRequest request, Emptying::Done done);
  // Nothing happens when it is not drained. Errors: NOT_FOUND.
  absl::Status UndrainDevice(absl::string_view device);
  // Errors: NOT_FOUND.
  absl::StatusOr<ResetPlan> PlanReset(absl::string_view device);
  // What an administrator changes while all goes on: the policy, and of `settings` the limits, the
  // times and what is enforced. It decides about what is asked for from now on. Whoever holds more
  // than a new limit keeps it. Nobody is signalled who would not be under the new settings.
  void Reconfigure(Policy policy, const BrokerSettings& settings);

  // What to wait for, and what to do then.
  absl::Time NextDeadline() const {
    return ledger_.suspended ? absl::InfiniteFuture() : ledger_.deadlines.Next();
  }
  void RunDeadlines() {
    if (!ledger_.suspended) ledger_.deadlines.Run(ledger_.clock.Now());
  }

  const Ledger& ledger() const { return ledger_; }
  const BrokerSettings& settings() const { return settings_; }
  void Tell(Event event) { ledger_.Tell(std::move(event)); }

 private:
  Device& Add(std::string name, std::unique_ptr<Backend> backend);
  void EndAbsence(SessionRecord& session);
  void TellRestored();
  static absl::Status Stopping();
  absl::Status CheckIdentity(const SessionRecord& fresh, const Reattachment& asked,
                             const Identity& identity);
  Reattached Resume(SessionRecord& session, SessionRecord& fresh, const Reattachment& asked);
  Reattached ReattachLate(SessionRecord& fresh, const Reattachment& asked,
                          const Absences::Ended& ended);
  void ForgetConnection(SessionRecord& fresh);
  void EndUnclaimed(SessionRecord& session, const Reattachment& asked);
  void TellAgain(SessionId id);
  absl::StatusOr<Device*> FindNamed(absl::string_view device) const;
  absl::StatusOr<std::unique_ptr<BufferRecord>> Admit(SessionRecord& session,
                                                      AllocateRequest request);
  // Of the session's account; a refusal is told.
  absl::StatusOr<Charge> Take(const SessionRecord& session, Resource resource,
                              std::uint64_t amount);
  using Waiting = WaitingAllocations::Waiting;
  void Try(Waiting asked);
  // `again` is what to ask for once more; null: nobody waits.
  void OnAllocated(BufferId id, SessionId session, Charge lease, std::unique_ptr<Waiting> again,
                   absl::StatusOr<Allocation> allocation, Allocated done);
  // Refuses, unless the device is all that is in the way, and somebody waits for it.
  void RefuseOrWait(std::unique_ptr<Waiting> again, const absl::Status& refusal, Allocated done);
  bool MayWait(const Waiting* again, const absl::Status& refusal) const;
  // Of a request that has waited: what its device says now, or said last.
  absl::Status InVain(const Waiting& waiting);
  // What a device itself refused, when the client is told.
  void TellRefused(const Device& device, SessionId session, const Domain& domain,
                   std::uint64_t bytes, const absl::Status& refusal);
  void OnDeviceState(const Device& device);
  const Device* NamedOrDefault(absl::string_view device) const;
  absl::Status Unavailable(const Device& device) const;
  absl::Status StillWanted(const BufferRecord& buffer, const SessionRecord* session) const;
  absl::StatusOr<BufferRecord*> Find(const SessionRecord& session, const OpenItem& item) const;
  absl::StatusOr<Grant> OpenOne(SessionRecord& session, const OpenItem& item, Charge& leases);
  void TellRefused(const SessionRecord& session, absl::Span<const absl::StatusOr<Grant>> results);
  absl::StatusOr<BufferRecord*> FindToShare(SessionRecord& session, BufferId id, Grantee grantee);
  // A refusal by policy, told as an event.
  absl::Status Refuse(const SessionRecord& session, Verb verb, absl::string_view what,
                      const Decision& decision);
  absl::Status Missing(BufferId id, const Peer& asker) const;
  Decision MayOpen(const Peer& peer, const BufferRecord& buffer) const;
  void EndLease(LeaseRecord& lease, LeaseEvent on);

  BrokerSettings settings_;
  Policy policy_;
  Ledger ledger_;
  Absences absences_;
  Inquiry inquiry_;
  Emptying emptying_;
  Draining draining_;
  Revocations revocations_;
  WaitingAllocations waiting_;
  Resets resets_;
  std::vector<std::unique_ptr<Device>> devices_;
  absl::AnyInvocable<void() &&> when_restored_;  // null: nobody waits
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_BROKER_H_
