// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_RESUMPTIONS_H_
#define HLBUF_DAEMON_CORE_RESUMPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
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
  // What its backend remembers from now on, for a Begin() that is tried again.
  void Note(const Device& device, const DeviceNote& note);
  // Until its backend has said what became of it.
  bool Awaits(const Device& device) const { return from_.contains(&device); }
  // Whether one is being asked, or was not asked yet.
  bool Asks() const;
  // Errors are the backend's, and leave everything as it is: it can be tried again.
  void Begin(Device& device, Done done);

 private:
  void OnResumed(Device& device, std::vector<BufferId> buffers, absl::StatusOr<Resumed> resumed,
                 Done done);
  // `why`: what its backend said of it, or empty.
  void TakeBack(Device& device, const std::vector<BufferId>& buffers, std::vector<UniqueFd> fds,
                absl::string_view why);
  void LoseAll(Device& device, const std::vector<BufferId>& buffers, absl::string_view why);
  void TellLost(const Device& device, EventKind kind, std::size_t count, std::string text,
                absl::string_view why);
  void TellWhy(const Device& device, absl::string_view why);

  Ledger& ledger_;
  Draining& draining_;
  absl::flat_hash_map<const Device*, Resumption> from_;
};

// Behind BUFFERS_LOST; of no lease nothing is told. `device`: empty where they are of several.
void TellLeasesLost(Ledger& ledger, absl::string_view device, std::size_t leases);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_RESUMPTIONS_H_
