// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_BLIND_BUFFERS_H_
#define HLBUF_DAEMON_CORE_BLIND_BUFFERS_H_

#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "daemon/core/device.h"
#include "daemon/core/ids.h"
#include "daemon/core/ledger.h"

namespace hlbuf {

// Buffers whose descriptor was lost in a restart, and whose holders have all said that they let go.
// No count can prove that. A device may be able to tell; nothing says when, so it is asked again
// and again, of all such buffers at once.
class BlindBuffers {
 public:
  static constexpr absl::Duration kPause = absl::Seconds(1);

  // Told for each that the device took back: its memory is clean, and nobody's.
  using Freed = absl::AnyInvocable<void(BufferRecord&)>;

  BlindBuffers(Ledger& ledger, Freed freed) : ledger_(ledger), freed_(std::move(freed)) {}

  // Nobody has it who could still tell, and nobody can be asked: only the device can say more.
  static bool IsAcknowledged(const BufferRecord& buffer) {
    return buffer.blind && buffer.state == BufferState::kDraining && buffer.leases.empty();
  }
  // One that is acknowledged, of a device whose memory does not survive a reset. Once.
  void Add(const BufferRecord& buffer);

 private:
  void AskAfter(Device& device, absl::Duration pause);
  void Ask(Device& device);
  void OnAnswer(Device& device, const std::vector<BufferId>& asked, const std::vector<bool>& freed);

  Ledger& ledger_;
  Freed freed_;
  // Those that wait. A device that is here is being asked, or will be.
  absl::flat_hash_map<const Device*, absl::btree_set<BufferId>> of_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_BLIND_BUFFERS_H_
