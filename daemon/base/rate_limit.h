// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_BASE_RATE_LIMIT_H_
#define HLBUF_DAEMON_BASE_RATE_LIMIT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "daemon/base/clock.h"

namespace hlbuf {

// A token bucket for each key: `burst` may pass at once, then one for each `interval`.
//
// Remembers at most `keys_max` keys that are not back at a full bucket; while there are as many,
// other keys do not pass, so memory is bounded whatever peers make up. Amortised constant time. Not
// thread-safe.
template <class Key>
class RateLimit {
 public:
  struct Rate {
    std::uint32_t burst = 1;
    absl::Duration interval = absl::Seconds(1);
  };

  RateLimit(const Clock& clock, Rate rate, std::size_t keys_max)
      : clock_(clock), rate_(rate), keys_max_(keys_max) {}

  bool Admit(const Key& key) {
    const absl::Time now = clock_.Now();
    auto bucket = full_at_.find(key);
    if (bucket == full_at_.end()) {
      if (!MakeRoom(now)) return false;
      bucket = full_at_.emplace(key, now).first;
    }
    const absl::Time full_at = std::max(bucket->second, now) + rate_.interval;
    if (full_at - now > rate_.burst * rate_.interval) return false;
    bucket->second = full_at;
    return true;
  }

  std::size_t size() const { return full_at_.size(); }

 private:
  // Forgets full buckets, at most once in an interval: sooner, hardly any could have filled up.
  bool MakeRoom(absl::Time now) {
    if (full_at_.size() < keys_max_) return true;
    if (now < next_sweep_) return false;
    next_sweep_ = now + rate_.interval;
    absl::erase_if(full_at_, [now](const auto& bucket) { return bucket.second <= now; });
    return full_at_.size() < keys_max_;
  }

  const Clock& clock_;
  Rate rate_;
  std::size_t keys_max_;
  absl::flat_hash_map<Key, absl::Time> full_at_;  // when the bucket of a key is full again
  absl::Time next_sweep_ = absl::InfinitePast();
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_BASE_RATE_LIMIT_H_
