// SPDX-License-Identifier: Apache-2.0
// What the broker remembers: sessions, leases, buffers. Plain values; the broker alone changes
// them, the control API reads them.
#ifndef HLBUF_DAEMON_CORE_RECORDS_H_
#define HLBUF_DAEMON_CORE_RECORDS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/hash/hash.h"
#include "absl/time/time.h"
#include "daemon/core/backend.h"
#include "daemon/core/ids.h"
#include "daemon/core/observer.h"
#include "daemon/core/peer.h"
#include "daemon/core/policy.h"
#include "daemon/core/quota.h"
#include "daemon/core/session_secret.h"
#include "daemon/core/states.h"

namespace hlbuf {

class Device;
struct BufferRecord;
struct LeaseRecord;

// Most buffers have one or two leases: those need no memory of their own.
using LeaseList = absl::InlinedVector<LeaseRecord*, 2>;

struct SessionRecord {
  SessionId id;
  Peer peer;
  SessionState state = SessionState::kNew;
  SessionSecret secret;
  // The one before, good for coming back too: a client may not have heard of the new one when the
  // service ended.
  SessionSecret secret_before;
  std::string client;  // what it calls itself; checked text
  DomainAccount* account = nullptr;
  AccountHold hold;  // one that came over a restart: it is charged when its client is back
  Notices* notices = nullptr;
  absl::Time since;
  std::optional<absl::Time> unanswered_ping_since;  // told to operators, never counted as anything
  std::vector<LeaseRecord*> leases;
  Charge charge;
  std::uint32_t waiting_allocations = 0;  // for a device that is not READY
  Charge in_flight;  // descriptors sent that the peer has not received yet, as far as we know
  // What ended while it was AWAY, and why the first did: told when it comes back.
  std::vector<RevokedLease> missed;
  std::string missed_why;
};

struct LeaseRecord {
  LeaseId id;
  SessionRecord* session = nullptr;
  BufferRecord* buffer = nullptr;
  std::uint32_t place_in_session = 0;
  std::uint32_t place_in_buffer = 0;
  std::optional<Grantee> share;  // the SHARE that allowed it; UNSHARE asks it back
  LeaseState state = LeaseState::kActive;
  bool told = false;               // that it is asked back
  Force signalled = Force::kNone;  // to its session's process, because of this lease
  // The last revocation that asked this lease back without its buffer.
  RevocationId asked_alone_by;
  absl::Time due;  // unless ACTIVE: the earliest deadline that its session was told
  absl::Time since;
  Charge charge;
};

// The request that made a buffer. Repeated after a restart of the service, it gets the same again.
struct AllocatedBy {
  SessionId session;
  std::uint64_t cookie = 0;  // 0: no client asked

  friend bool operator==(AllocatedBy, AllocatedBy) = default;
};

// There may be very many: the order of the members leaves no holes, and what an OPEN looks at comes
// first.
struct BufferRecord {
  BufferId id;
  Device* device = nullptr;
  DomainAccount* owner = nullptr;
  std::uint64_t epoch = 0;  // of the device, when it was allocated
  LeaseList leases;
  std::vector<Grantee> shares;
  // Its FD is empty while ALLOCATING, again once it went back to the device, and as long as the
  // buffer is `returning` or `blind`.
  Allocation allocation;
  AllocatedBy allocated_by;
  BufferState state = BufferState::kAllocating;
  std::uint32_t job = 0;   // of the session that allocated it; 0: none
  bool outlived = false;   // kReferencesOutliveLeases was told
  bool returning = false;  // after a restart, until the device says what became of the descriptor
  // Neither this service nor a keeper has a descriptor of it any more: what others have of it
  // cannot be counted. It is not exported a second time, and stays so to its end.
  bool blind = false;
  bool given_up = false;                // a reset took its memory while somebody held it
  std::optional<RevokeReason> revoked;  // why, if it ever was
  std::uint32_t references = 0;         // others' references as last counted, while DRAINING
  std::uint32_t epoch_slot = 0;         // in the epoch page; 0: it is not current, or has none
  std::string name;
  std::vector<std::string> labels;  // key=value
  absl::Time since;
  absl::Time draining_since;              // while DRAINING
  absl::Time unleased_since;              // while DRAINING without a lease
  std::vector<RevocationId> revocations;  // those that wait for its verdict
  Charge bytes;
  Charge buffers;
  std::optional<Verdict> verdict;  // HELD while DRAINING: what the revocation ended with

  // It was exported, and has not gone back to its device: somebody may hold it.
  bool is_out() const { return allocation.fd || returning || blind; }
};

// Removes `lease` from a list of leases in constant time; the lease knows its place in it.
template <class List>
void Unlist(List& list, std::uint32_t LeaseRecord::*place, LeaseRecord& lease) {
  LeaseRecord* const last = list.back();
  list[lease.*place] = last;
  last->*place = lease.*place;
  list.pop_back();
}

// Owns records by their ids. A slot is a pointer, because the record has its key: half the memory
// of a map, and one cache line less to miss.
template <class Record>
struct ById {
  using IdType = decltype(Record::id);
  using is_transparent = void;
  static IdType IdOf(IdType id) { return id; }
  static IdType IdOf(const std::unique_ptr<Record>& record) { return record->id; }
  template <class T>
  std::size_t operator()(const T& key) const {
    return absl::Hash<IdType>()(IdOf(key));
  }
  template <class A, class B>
  bool operator()(const A& a, const B& b) const {
    return IdOf(a) == IdOf(b);
  }
};
template <class Record>
using RecordTable = absl::flat_hash_set<std::unique_ptr<Record>, ById<Record>, ById<Record>>;

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_RECORDS_H_
