// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_IDS_H_
#define HLBUF_DAEMON_CORE_IDS_H_

#include <algorithm>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace hlbuf {

// A number that names one thing for ever: no other thing of this daemon, an earlier or a later one
// gets it.
template <class Tag>
struct Id {
  std::uint64_t value = 0;  // 0 names nothing

  explicit operator bool() const { return value != 0; }
  friend auto operator<=>(Id, Id) = default;
  template <class H>
  friend H AbslHashValue(H h, Id id) {
    return H::combine(std::move(h), id.value);
  }
};

using BufferId = Id<struct BufferTag>;
using LeaseId = Id<struct LeaseTag>;
using SessionId = Id<struct SessionTag>;
using RevocationId = Id<struct RevocationTag>;

// Hexadecimal without prefix, as people and programs see ids everywhere.
std::string IdText(std::uint64_t value);
template <class Tag>
std::string IdText(Id<Tag> id) {
  return IdText(id.value);
}
// The reverse; nullopt for anything but 1 to 16 hexadecimal digits.
std::optional<std::uint64_t> ParseIdText(absl::string_view text);

// Hands out ids in ascending order. Started from the wall clock (FirstId), so that a later life of
// the daemon never repeats an earlier one's, even when nothing of that life was kept.
class IdSequence {
 public:
  explicit IdSequence(std::uint64_t first) : next_(first) {}
  template <class IdType>
  IdType Next() {
    return IdType{next_++};
  }
  // None up to `last` is handed out: an earlier process did.
  void SkipTo(std::uint64_t last) { next_ = std::max(next_, last + 1); }

 private:
  std::uint64_t next_;
};

// 256 ids for each microsecond since 2020: a life that takes fewer than 256 million ids a second
// ends below the next one's first. A wall clock from before 2020 tells nothing, and may say the
// same at each start of a machine that has no battery for it: there `random` decides, and ids of
// two lives differ, but need not ascend.
std::uint64_t FirstId(std::int64_t unix_micros, std::uint64_t random);

// Epochs begin so that none is used twice either: with one for each microsecond.
constexpr std::uint64_t FirstEpoch(std::uint64_t first_id) { return first_id >> 8; }

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_IDS_H_
