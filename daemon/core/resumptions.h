// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_RESUMPTIONS_H_
#define HLBUF_DAEMON_CORE_RESUMPTIONS_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "daemon/core/device.h"
#include "daemon/core/draining.h"
#include "daemon/core/ledger.h"

namespace hlbuf {

// Goes on with devices that an earlier process of this service had open. What the device gives back
// is matched with the buffers that were written down; of what it does not give back it is said so.
class Resumptions {
 public:
  enum class Outcome : std::uint8_t {
    kOpen,        // as it was
    kMemoryGone,  // closed: its buffers are lost, and its next epoch begins
  };
  using Done = absl::AnyInvocable<void(const absl::StatusOr<Outcome>&) &&>;

  Resumptions(Ledger& ledger, Draining& draining) : ledger_(ledger), draining_(draining) {}

  // `from` has no buffers: those are the `returning` ones of the registry.
  void Add(Device& device, Resumption from) { from_[&device] = std::move(from); }
  // Until its backend has said what became of it.
  bool Awaits(const Device& device) const { return from_.contains(&device); }
  // Whether one is being asked, or was not asked yet.
  bool Asks() const;
  // Errors are the backend's, and leave everything as it is: it can be tried again.
  void Begin(Device& device, Done done);

 private:
  void OnResumed(Device& device, std::vector<BufferId> buffers, absl::StatusOr<Resumed> resumed,
                 Done done);
  void TakeBack(Device& device, const std::vector<BufferId>& buffers, std::vector<UniqueFd> fds);
  void LoseAll(Device& device, const std::vector<BufferId>& buffers);
  void Tell(const Device& device, std::string text);

  Ledger& ledger_;
  Draining& draining_;
  absl::flat_hash_map<const Device*, Resumption> from_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_RESUMPTIONS_H_
