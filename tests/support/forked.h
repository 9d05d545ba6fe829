// SPDX-License-Identifier: Apache-2.0
// A second process of a test: another uid, another set of descriptors, another death.
#ifndef HLBUF_TESTS_SUPPORT_FORKED_H_
#define HLBUF_TESTS_SUPPORT_FORKED_H_

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// Closed until somebody opens it; shared with processes that are forked later.
class Gate {
 public:
  void Open() { ASSERT_EQ(::eventfd_write(fd_.get(), 1), 0); }
  // Readable when it is open.
  int fd() const { return fd_.get(); }
  // Waits; false, and a failure of the test, after a deadline.
  bool Pass() {
    pollfd p = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
    const bool open = ::poll(&p, 1, 30'000) == 1;
    EXPECT_TRUE(open) << "the other process did not come so far";
    return open;
  }

 private:
  UniqueFd fd_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
};

// A fork of this process that runs `body` alone and exits 0, or 1 when an expectation failed in it.
// It does not outlive this object or this process.
class Forked {
 public:
  explicit Forked(absl::FunctionRef<void()> body) : pid_(::fork()) {
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    body();
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  ~Forked() { Kill(); }
  Forked(const Forked&) = delete;
  Forked& operator=(const Forked&) = delete;

  pid_t pid() const { return pid_; }
  // Dead and reaped when it returns.
  void Kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    Reap();
  }
  // Expects that it ends by itself, and well.
  void ExpectToSucceed() {
    const int status = Reap();
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "wait status " << status;
  }

 private:
  int Reap() {
    int status = -1;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return status;
  }
  pid_t pid_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_FORKED_H_
