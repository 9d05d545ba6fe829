// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_CHILD_H_
#define HLBUF_TESTS_SUPPORT_CHILD_H_

#include <sys/resource.h>
#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proto/wire/unique_fd.h"

namespace hlbuf {

// How long tests wait for what must happen. Generous: it is there to end a test that has failed.
inline constexpr int kPatienceMs = 20'000;

struct Program {
  std::vector<std::string> arguments;    // the first one is its path
  std::vector<std::string> environment;  // NAME=value, beside what this process has
  std::string output;                    // path: where standard output and error go; empty: as here
  bool appends = false;                  // to what is there
  int channel = -1;                      // borrowed; descriptor 3 of the program
  // Borrowed, by name: descriptors 3 and up, as a service manager passes them (sd_listen_fds(3)).
  // Without `channel`.
  std::vector<std::pair<std::string, int>> passed;
  std::optional<rlimit> nofile;
  // Who it is, without capabilities; empty: as this process. Needs root.
  std::optional<uid_t> uid;
  gid_t gid = 0;  // with `uid`: its only group
};

// A program that ends with this object, or with this process if that dies first.
class Child {
 public:
  explicit Child(const Program& program);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // readable when it has ended
  void Signal(int signal) const;
  // Its wait status, once it has ended; nullopt when it has not in time.
  std::optional<int> Wait(int ms = kPatienceMs);
  // Waits; what it ended with, -1 if it did not end in time or died of a signal.
  int ExitStatus();
  // Whether it runs still, `ms` from now at the latest.
  bool RunsFor(int ms) const;

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  std::optional<int> status_;
};

struct Finished {
  int exit_status = -1;  // as of Child
  std::string output;    // and errors
};
// Runs a program that has an `output`.
Finished RunToEnd(const Program& program);

// Until `is` is true; false when that did not come in time. For what the kernel tells no event of.
bool Eventually(const std::function<bool()>& is, int ms = kPatienceMs);

// How many descriptors this process has.
std::size_t CountDescriptors();

// A directory below $TMPDIR that everybody may enter and that ends with this object.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A file below the build directory of this run.
std::string BuiltPath(const std::string& relative);
std::string ReadAll(const std::string& path);

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_CHILD_H_
