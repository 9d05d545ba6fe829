// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_RELEASE_PROOF_H_
#define HLBUF_DAEMON_CORE_RELEASE_PROOF_H_

#include <cstdint>
#include <deque>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "daemon/base/clock.h"
#include "daemon/core/backend.h"
#include "daemon/core/deadlines.h"
#include "daemon/core/ids.h"

namespace hlbuf {

// Waits until the kernel shows that nobody else refers to a buffer any more. There is no event for
// that, so it asks again and again: at once, then with pauses that double from kFirstPause to
// kLongestPause; a slice of buffers at a time, one slice in progress. Only buffers that nobody may
// open any more belong here: a count proves nothing while hand-overs go on.
class ReleaseProof {
 public:
  static constexpr std::size_t kSlice = 64;
  static constexpr absl::Duration kFirstPause = absl::Milliseconds(1);
  static constexpr absl::Duration kLongestPause = absl::Seconds(2);

  // Called for every count, with the references that are not ours; 0 is the proof, and the buffer
  // is watched no longer.
  using Report = absl::AnyInvocable<void(BufferId buffer, std::uint32_t references)>;

  ReleaseProof(Backend& backend, Deadlines& deadlines, const Clock& clock, Report report)
      : backend_(backend), deadlines_(deadlines), clock_(clock), report_(std::move(report)) {}

  // `fd` stays open until the proof is reported. Counted for the first time in the next slice.
  void Watch(BufferId buffer, int fd);
  // Somebody may have let go just now: counts a watched buffer in the next slice, however long its
  // pause would last, and after short pauses again.
  void CountSoon(BufferId buffer);
  // Nobody waits for a watched buffer any more: its descriptor may be closed when `then` is called,
  // which is at once unless it is being counted; then it is told whether that count is the proof.
  using Forgotten = absl::AnyInvocable<void(bool proven) &&>;
  void Forget(BufferId buffer, Forgotten then);

 private:
  struct Watched {
    int fd = -1;
    absl::Duration pause = kFirstPause;
    Deadlines::Handle timer;  // while it pauses
    enum : std::uint8_t { kPausing, kQueued, kCounting } phase = kPausing;
    bool again = false;   // CountSoon() came while it was being counted
    Forgotten forgotten;  // Forget() did
  };
  void BecomeDue(BufferId buffer);
  void StartSlice();
  void OnCounts(const std::vector<BufferId>& slice, const std::vector<std::uint32_t>& counts);
  void OnCount(BufferId buffer, std::uint32_t count);

  Backend& backend_;
  Deadlines& deadlines_;
  const Clock& clock_;
  Report report_;
  absl::flat_hash_map<BufferId, Watched> watched_;
  std::deque<BufferId> due_;
  bool counting_ = false;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_RELEASE_PROOF_H_
