// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_LOST_BUFFERS_H_
#define HLBUF_DAEMON_CORE_LOST_BUFFERS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "daemon/core/holder.h"
#include "daemon/core/ids.h"
#include "daemon/core/observer.h"
#include "daemon/core/peer.h"
#include "daemon/core/records.h"

namespace hlbuf {

// What is left of a buffer that was given up: enough to find who still has its file.
struct LostBuffer {
  BufferId id;
  std::string name;
  const Device* device = nullptr;
  std::uint64_t epoch = 0;
  Domain owner;
  std::uint64_t size_bytes = 0;
  ino_t inode = 0;
  std::uint32_t job = 0;
  std::optional<RevokeReason> revoked;
  absl::Time since, given_up;
  Verdict verdict;
  std::vector<Holder> holders;  // who had a lease, at most LostBuffers::kHoldersMax
  std::uint32_t holders_left_out = 0;
  std::vector<LeaseId> leases;  // all that it had
};

// Buffers that resets took while somebody held them. A driver can wait for those files, so they are
// known until their device works again.
class LostBuffers {
 public:
  static constexpr std::size_t kPerDeviceMax = 4'096;  // the oldest are forgotten
  static constexpr std::size_t kHoldersMax = 16;
  static constexpr std::size_t kNamedMax = 4;

  // What `buffer` is while it has its leases.
  static LostBuffer Of(const BufferRecord& buffer, absl::Time now);

  // The one that is forgotten for it, if any.
  std::optional<LostBuffer> Add(LostBuffer lost);
  // `device` works again: nobody is in its way.
  void Forget(const Device& device);
  // Null: not lost, or forgotten.
  const LostBuffer* Find(BufferId id) const;
  std::size_t CountOf(const Device& device) const;
  // "buffer a1 'weights' of uid 1000 (last lease: session 2, uid 1000 pid 4711), and 3 more"; the
  // oldest first; empty, if there are none. Not for everybody: it names processes of others.
  std::string Text(const Device& device) const;

  const absl::btree_map<BufferId, LostBuffer>& in_order() const { return lost_; }

 private:
  absl::btree_map<BufferId, LostBuffer> lost_;
  absl::flat_hash_map<const Device*, std::size_t> counts_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_LOST_BUFFERS_H_
