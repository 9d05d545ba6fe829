// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_BENCH_CHILD_H_
#define HLBUF_TESTS_BENCH_CHILD_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "proto/wire/unique_fd.h"

namespace hlbuf::bench {

struct Program {
  std::vector<std::string> arguments;    // the first one is its path
  std::vector<std::string> environment;  // NAME=value, beside what this process has
  int descriptor = -1;                   // borrowed; the child has it as its standard input
  std::string log;                       // path: where its standard output and error go
};

// A program that ends with this object, or with this process if that dies first.
class Child {
 public:
  explicit Child(Program program);
  Child(Child&& other) noexcept = default;
  Child& operator=(Child&&) = delete;
  // SIGTERM, and SIGKILL when that did not help within ten seconds.
  ~Child();

  pid_t pid() const { return pid_; }
  // Readable when it has ended.
  int pidfd() const { return pidfd_.get(); }
  // What it wrote so far, for a message about why it failed.
  std::string Log() const;

 private:
  bool Exited(int timeout_ms) const;

  Program program_;
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

}  // namespace hlbuf::bench

#endif  // HLBUF_TESTS_BENCH_CHILD_H_
