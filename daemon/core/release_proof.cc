// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/release_proof.h"

#include <algorithm>
#include <utility>

namespace hlbuf {

void ReleaseProof::Watch(BufferId buffer, int fd) {
  watched_[buffer].fd = fd;
  BecomeDue(buffer);
}

void ReleaseProof::CountSoon(BufferId buffer) {
  const auto it = watched_.find(buffer);
  if (it == watched_.end()) return;
  Watched& watched = it->second;
  watched.pause = kFirstPause;
  watched.again = watched.phase == Watched::kCounting;
  if (watched.phase != Watched::kPausing) return;
  deadlines_.Cancel(watched.timer);
  BecomeDue(buffer);
}

void ReleaseProof::Forget(BufferId buffer, Forgotten then) {
  const auto it = watched_.find(buffer);
  if (it != watched_.end() && it->second.phase == Watched::kCounting) {
    it->second.forgotten = std::move(then);
    return;
  }
  if (it != watched_.end()) {
    deadlines_.Cancel(it->second.timer);
    std::erase(due_, buffer);
    watched_.erase(it);
  }
  std::move(then)(false);
}

void ReleaseProof::BecomeDue(BufferId buffer) {
  watched_[buffer].phase = Watched::kQueued;
  due_.push_back(buffer);
  if (!counting_) StartSlice();
}

void ReleaseProof::StartSlice() {
  if (due_.empty()) return;
  std::vector<BufferId> slice(
      due_.begin(), due_.begin() + static_cast<std::ptrdiff_t>(std::min(kSlice, due_.size())));
  due_.erase(due_.begin(), due_.begin() + static_cast<std::ptrdiff_t>(slice.size()));
  std::vector<int> fds;
  fds.reserve(slice.size());
  for (const BufferId buffer : slice) {
    Watched& watched = watched_[buffer];
    watched.phase = Watched::kCounting;
    fds.push_back(watched.fd);
  }
  counting_ = true;
  backend_.CountReferences(std::move(fds),
                           [this, slice = std::move(slice)](std::vector<std::uint32_t> counts) {
                             OnCounts(slice, counts);
                           });
}

void ReleaseProof::OnCounts(const std::vector<BufferId>& slice,
                            const std::vector<std::uint32_t>& counts) {
  counting_ = false;
  for (std::size_t i = 0; i < slice.size(); ++i)
    OnCount(slice[i], i < counts.size() ? counts[i] : 0);
  if (!counting_) StartSlice();
}

void ReleaseProof::OnCount(BufferId buffer, std::uint32_t count) {
  if (auto then = std::move(watched_[buffer].forgotten)) {
    watched_.erase(buffer);
    return std::move(then)(count == 1);
  }
  if (count == 1) {
    watched_.erase(buffer);
    report_(buffer, 0);
    return;
  }
  Watched& watched = watched_[buffer];
  if (std::exchange(watched.again, false)) {
    BecomeDue(buffer);
  } else {
    watched.phase = Watched::kPausing;
    watched.timer =
        deadlines_.At(clock_.Now() + watched.pause, [this, buffer] { BecomeDue(buffer); });
    watched.pause = std::min(watched.pause * 2, kLongestPause);
  }
  // A count that could not be read proves nothing: somebody may hold it.
  report_(buffer, count == 0 ? 1 : count - 1);
}

}  // namespace hlbuf
