// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_FAKE_WITNESS_H_
#define HLBUF_TESTS_SUPPORT_FAKE_WITNESS_H_

#include <deque>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "daemon/core/witness.h"

namespace hlbuf {

// Sees what a test tells it, and answers when the test says so.
class FakeWitness final : public Witness {
 public:
  bool Ask(std::vector<BufferFile> files, Done done) override {
    if (!there) return false;
    asked.push_back(files);
    waiting_.push_back(std::move(done));
    return true;
  }

  // Answers the oldest question; false: there is none.
  bool Answer() { return Conclude(testimony); }
  bool Fail() { return Conclude(absl::UnavailableError("it died")); }

  bool there = true;
  Testimony testimony;
  std::vector<std::vector<BufferFile>> asked;  // in order

 private:
  bool Conclude(const absl::StatusOr<Testimony>& answer) {
    if (waiting_.empty()) return false;
    Done done = std::move(waiting_.front());
    waiting_.pop_front();
    std::move(done)(answer);
    return true;
  }
  std::deque<Done> waiting_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_FAKE_WITNESS_H_
