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

#include "absl/time/time.h"
#include "daemon/core/backend.h"
#include "daemon/core/ids.h"
#include "daemon/core/observer.h"
#include "daemon/core/peer.h"
#include "daemon/core/policy.h"
#include "daemon/core/quota.h"
#include "daemon/core/states.h"

namespace hlbuf {

class Device;
struct BufferRecord;
struct LeaseRecord;

// Removes `lease` from a list of leases in constant time; the lease knows its place in it.
void Unlist(std::vector<LeaseRecord*>& list, std::uint32_t LeaseRecord::*place, LeaseRecord& lease);

struct SessionRecord {
  SessionId id;
  Peer peer;
  SessionState state = SessionState::kNew;
  std::string client;  // what it calls itself; checked text
  DomainAccount* account = nullptr;
  Notices* notices = nullptr;
  absl::Time since;
  std::optional<absl::Time> unanswered_ping_since;  // told to operators, never counted as anything
  std::vector<LeaseRecord*> leases;
  Charge charge;
  Charge in_flight;  // descriptors sent that the peer has not received yet, as far as we know
};

struct LeaseRecord {
  LeaseId id;
  LeaseState state = LeaseState::kActive;
  SessionRecord* session = nullptr;
  BufferRecord* buffer = nullptr;
  std::uint32_t place_in_session = 0;
  std::uint32_t place_in_buffer = 0;
  std::optional<Grantee> share;  // the SHARE that allowed it; UNSHARE asks it back
  absl::Time since;
  Charge charge;
};

struct BufferRecord {
  BufferId id;
  BufferState state = BufferState::kAllocating;
  std::string name;
  std::vector<std::string> labels;  // key=value
  Device* device = nullptr;
  std::uint64_t epoch = 0;  // of the device, when it was allocated
  DomainAccount* owner = nullptr;
  Allocation
      allocation;  // its FD is empty while ALLOCATING, and again once it went back to the device
  std::vector<Grantee> shares;
  std::vector<LeaseRecord*> leases;
  absl::Time since;
  absl::Time draining_since;              // while DRAINING
  absl::Time unleased_since;              // while DRAINING without a lease
  std::optional<RevokeReason> revoked;    // why, if it ever was
  std::vector<RevocationId> revocations;  // those that wait for its verdict
  std::optional<Verdict> verdict;         // HELD while DRAINING: what the revocation ended with
  std::uint32_t references = 0;           // others' references as last counted, while DRAINING
  bool outlived = false;                  // kReferencesOutliveLeases was told
  Charge bytes;
  Charge buffers;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_RECORDS_H_
