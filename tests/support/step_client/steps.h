// SPDX-License-Identifier: Apache-2.0
// The program step_client: a process that does on command what clients do, one step at a time. Its
// commands come as packets on descriptor 3, "WORD WORD...\nBYTES", perhaps with a descriptor; each
// is answered by "ok WORD...\nBYTES" or "failed WORD...". tests/support/client_process.h speaks to
// it.
#ifndef HLBUF_TESTS_SUPPORT_STEP_CLIENT_STEPS_H_
#define HLBUF_TESTS_SUPPORT_STEP_CLIENT_STEPS_H_

#include <sys/types.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "proto/wire/unique_fd.h"

namespace hlbuf {

struct Step {
  std::vector<std::string> words;  // the first one is its name
  std::string bytes;
  UniqueFd fd;

  const std::string& Word(std::size_t index) const { return words.at(index); }
  std::uint64_t Number(std::size_t index) const {
    return std::strtoull(words.at(index).c_str(), nullptr, 10);
  }
  int Int(std::size_t index) const { return static_cast<int>(Number(index)); }
};

struct Outcome {
  bool ok = true;
  std::string words;
  std::string bytes;
  UniqueFd fd;
};
Outcome Done(const std::string& words = "", const std::string& bytes = "");
Outcome Failed(const std::string& words);
// errno in words.
Outcome FailedBy(const char* call);

using StepTable = std::map<std::string, std::function<Outcome(Step&)>>;

// Sockets, descriptors and memory: what a client does that speaks the wire itself.
void AddRawSteps(StepTable& table);
// libhlbuf.
void AddLibrarySteps(StepTable& table);

// Moves this process, of one thread, into user, mount, pid and network namespaces of its own in
// which there is nothing but `directory`, as /client. Returns in the new process, which is 1 there;
// the old one waits for its end, after it has told `tell` the new one's pid.
void EnterNamespaces(const std::string& directory, const std::function<void(pid_t)>& tell);

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_STEP_CLIENT_STEPS_H_
