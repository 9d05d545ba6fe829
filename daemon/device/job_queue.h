// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_JOB_QUEUE_H_
#define HLBUF_DAEMON_DEVICE_JOB_QUEUE_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "daemon/device/mailbox.h"

namespace hlbuf {

// Work for a worker thread, and what is to be told of it afterwards.
using Job = absl::AnyInvocable<Completion()>;

enum class Lane : std::uint8_t {
  kPrompt,   // somebody waits for it
  kPatient,  // long; overtaken by prompt jobs
  kBarrier,  // prompt, but runs after every job that was put before it, the patient ones too
};

// What waits for one worker thread. Prompt jobs and patient jobs keep their order among themselves.
// A patient one gets a turn after kPromptInARow prompt ones at the latest, so neither starves.
class JobQueue {
 public:
  static constexpr int kPromptInARow = 16;

  // Any thread.
  void Put(Lane lane, Job job);
  // Lets Take() return nullopt from now on. What waits stays, and is destroyed with the queue.
  void Stop();

  // Worker thread. Blocks until there is something to do.
  std::optional<Job> Take();

 private:
  struct Entry {
    std::uint64_t sequence;
    Lane lane;
    Job job;
  };
  bool PatientIsNext() const;  // with mutex_

  std::mutex mutex_;  // for everything below; not absl::Mutex: ThreadSanitizer cannot see into it
  std::condition_variable something_to_do_;
  bool stopped_ = false;
  std::uint64_t next_sequence_ = 0;
  int prompt_in_a_row_ = 0;
  std::deque<Entry> prompt_;
  std::deque<Entry> patient_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_JOB_QUEUE_H_
