// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_SESSION_UNREAD_GRANTS_H_
#define HLBUF_DAEMON_SESSION_UNREAD_GRANTS_H_

#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"

namespace hlbuf {

class Session;

// Sessions that have sent a grant and have not seen it received. Nobody says when it is; the kernel
// does, when it is asked about each of them.
class UnreadGrants {
 public:
  void Add(Session& session) { sessions_.insert(&session); }
  void Remove(Session& session) { sessions_.erase(&session); }

  // Whom to ask now, because descriptors are short. A few are asked each time; many at most once a
  // millisecond, since whoever is refused can come again at once.
  std::vector<Session*> Due(absl::Time now) {
    constexpr std::size_t kFew = 16;
    if (sessions_.size() > kFew) {
      if (now < next_) return {};
      next_ = now + absl::Milliseconds(1);
    }
    return {sessions_.begin(), sessions_.end()};
  }

 private:
  absl::flat_hash_set<Session*> sessions_;
  absl::Time next_ = absl::InfinitePast();
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_SESSION_UNREAD_GRANTS_H_
