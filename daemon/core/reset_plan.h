// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_RESET_PLAN_H_
#define HLBUF_DAEMON_CORE_RESET_PLAN_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "daemon/core/device.h"
#include "daemon/core/ledger.h"

namespace hlbuf {

// Why a session will probably not let go in time. Numbers are those of the API's ResetObstacle.
enum class ResetObstacle : std::uint8_t {
  kUnreadGrant = 1,  // it has not taken its last grant, so no notice reaches it
  kSilent = 2,       // it does not answer a PING: stopped, or it does not look at its notices
  kOverdue = 3,      // it was asked before, and did not let go in time
};

// Who would be asked, and what that depends on, if a device were reset now. Pointers are good until
// the broker is called again.
struct ResetPlan {
  struct Party {
    const SessionRecord* session = nullptr;
    std::uint32_t leases = 0;  // of the device's buffers
    std::vector<ResetObstacle> obstacles;
  };
  // With obstacles first, then by leases, most first.
  std::vector<Party> parties;
  // Has no lease, and somebody refers to it all the same: nobody can be told.
  std::vector<const BufferRecord*> unexplained;
  std::uint32_t buffers = 0;  // that somebody may hold, those above among them
  std::uint32_t leases = 0;
  std::uint32_t asked = 0;  // how many of them were asked back already
  std::uint64_t bytes = 0;
  std::uint32_t obstructed = 0;  // how many of `parties` have obstacles
  // How long holders would have, and how much of the driver's window would be left for closing.
  // Zero window: the device knows none.
  absl::Duration grace;
  absl::Duration window;

  // Nobody is likely to hold it up.
  bool clear() const { return obstructed == 0 && unexplained.empty(); }
};

// What holders get of `grace` where the driver waits for `window`: a quarter is kept for closing.
// Where it does not wait at all, they get what there is for those that are told too late.
absl::Duration GraceWithin(absl::Duration window, absl::Duration grace);

// `grace` is the configured one, for a device that gives more time than that.
ResetPlan PlanReset(const Ledger& ledger, const Device& device, absl::Duration grace);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_RESET_PLAN_H_
