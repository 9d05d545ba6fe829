// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_CALLER_QUOTA_H_
#define HLBUF_DAEMON_CONTROL_CALLER_QUOTA_H_

#include <cstddef>
#include <limits>
#include <string>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "daemon/control/role.h"

namespace hlbuf {

// How many of one kind of thing (connections, calls) callers may have at a time. Broker thread.
//
// A uid's callers with a role are counted apart from those without, which may get fewer and never
// the last quarter: however many connections a container of uid 0 opens, the administrator still
// gets in. Remote callers are counted by name, and do not get that quarter either.
class CallerQuota {
 public:
  struct Limits {
    std::size_t uid = 0;  // of a remote name, too
    std::size_t all = 0;
    std::size_t uid_without_role = std::numeric_limits<std::size_t>::max();  // where that is less
    bool keeps_quarter = true;  // else there is nobody whom the last quarter is kept for
  };

  // One thing that a caller has; given back when destroyed. The quota outlives it.
  class [[nodiscard]] Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept
        : quota_(std::exchange(other.quota_, nullptr)), key_(std::move(other.key_)) {}
    Slot& operator=(Slot&& other) noexcept;
    ~Slot() { GiveBack(); }

   private:
    friend class CallerQuota;
    using Key = std::tuple<uid_t, bool, std::string>;  // uid, has a role, name if remote
    Slot(CallerQuota* quota, Key key) : quota_(quota), key_(std::move(key)) {}
    void GiveBack();

    CallerQuota* quota_ = nullptr;
    Key key_ = {};
  };

  // `what` is the plural of the things, for messages.
  CallerQuota(std::string what, Limits limits) : what_(std::move(what)), limits_(limits) {}

  // Errors: QUOTA_EXCEEDED.
  absl::StatusOr<Slot> Take(const Caller& caller);
  std::size_t used() const { return used_; }

 private:
  std::string what_;
  Limits limits_;
  std::size_t used_ = 0;
  absl::flat_hash_map<Slot::Key, std::size_t> used_by_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_CALLER_QUOTA_H_
