// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_POSTED_H_
#define HLBUF_TESTS_SUPPORT_POSTED_H_

#include <utility>
#include <vector>

#include "daemon/base/poster.h"

namespace hlbuf {

// The test's own thread is the loop: it runs what was posted when the test says so.
class Posted final : public Poster {
 public:
  void Post(absl::AnyInvocable<void() &&> task) override { tasks_.push_back(std::move(task)); }
  void Run() {
    for (auto& task : std::exchange(tasks_, {})) std::move(task)();
  }

 private:
  std::vector<absl::AnyInvocable<void() &&>> tasks_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_POSTED_H_
