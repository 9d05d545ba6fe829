// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/job_queue.h"

#include <utility>

namespace hlbuf {

void JobQueue::Put(Lane lane, Job job) {
  {
    const std::lock_guard lock(mutex_);
    std::deque<Entry>& queue = lane == Lane::kPatient ? patient_ : prompt_;
    queue.push_back({.sequence = next_sequence_++, .lane = lane, .job = std::move(job)});
  }
  something_to_do_.notify_one();
}

void JobQueue::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  something_to_do_.notify_one();
}

bool JobQueue::PatientIsNext() const {
  if (patient_.empty()) return false;
  if (prompt_.empty() || prompt_in_a_row_ >= kPromptInARow) return true;
  const Entry& prompt = prompt_.front();
  return prompt.lane == Lane::kBarrier && patient_.front().sequence < prompt.sequence;
}

std::optional<Job> JobQueue::Take() {
  std::unique_lock lock(mutex_);
  something_to_do_.wait(lock, [this] { return stopped_ || !prompt_.empty() || !patient_.empty(); });
  if (stopped_) return std::nullopt;
  const bool patient = PatientIsNext();
  prompt_in_a_row_ = patient || patient_.empty() ? 0 : prompt_in_a_row_ + 1;
  std::deque<Entry>& queue = patient ? patient_ : prompt_;
  Job job = std::move(queue.front().job);
  queue.pop_front();
  return job;
}

}  // namespace hlbuf
