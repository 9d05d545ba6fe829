// SPDX-License-Identifier: Apache-2.0
// What is left of a broker when its process has ended: plain values, which a Recorder makes of
// records and Broker::Restore() makes records of.
#ifndef HLBUF_DAEMON_CORE_KEPT_H_
#define HLBUF_DAEMON_CORE_KEPT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "daemon/core/device.h"
#include "daemon/core/records.h"

namespace hlbuf {

struct RevocationReport;

struct KeptDevice {
  std::string name;
  std::uint64_t epoch = 0;
  std::optional<Drain> drain;
  std::optional<Closing> closing;
  std::vector<DeviceNote> notes;
};

struct KeptSession {
  SessionId id;
  Peer peer;
  SessionSecret secret, secret_before;
  std::string client;
  absl::Time since;
};

struct KeptBuffer {
  BufferId id;
  std::string device;
  std::uint64_t epoch = 0;
  Domain owner;
  std::string name;
  std::vector<std::string> labels;
  std::vector<Grantee> shares;
  std::uint64_t size_bytes = 0;
  std::uint64_t window = 0;
  std::uint64_t inode = 0;
  AllocatedBy allocated_by;
  std::uint32_t job = 0;
  BufferState state = BufferState::kAllocating;
  bool blind = false;
  bool given_up = false;
  std::optional<RevokeReason> revoked;
  std::optional<Verdict> verdict;
  std::uint32_t references = 0;
  std::uint32_t epoch_slot = 0;
  absl::Time since, draining_since, unleased_since;
  // That wait for its verdict: the newest kRevocationsMax. Nobody asks for more of one buffer at a
  // time, and each of the others would get the same verdict.
  static constexpr std::size_t kRevocationsMax = 4;
  std::vector<RevocationId> revocations;
};

struct KeptLease {
  LeaseId id;
  SessionId session;
  BufferId buffer;
  std::optional<Grantee> share;
  LeaseState state = LeaseState::kActive;
  Force signalled = Force::kNone;
  RevocationId asked_alone_by;
  absl::Time due, since;
};

struct KeptRevocation {
  RevocationId id;
  RevokeReason reason = RevokeReason::kOperator;
  absl::Time began, deadline;
  std::uint32_t sessions_told = 0;
  std::uint32_t leases_told = 0;
};

struct Kept {
  std::vector<KeptDevice> devices;
  std::vector<KeptSession> sessions;
  std::vector<KeptBuffer> buffers;
  std::vector<KeptLease> leases;
  std::vector<KeptRevocation> revocations;
};

KeptDevice Keep(const Device& device);  // without notes
KeptSession Keep(const SessionRecord& session);
KeptBuffer Keep(const BufferRecord& buffer);
KeptLease Keep(const LeaseRecord& lease);
KeptRevocation Keep(const RevocationReport& report);

// Whether these values can be of one broker. DATA_LOSS: which cannot, and why. A device that is
// not there is no error: its buffers are lost.
absl::Status Check(const Kept& kept);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_KEPT_H_
