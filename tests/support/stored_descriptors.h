// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_STORED_DESCRIPTORS_H_
#define HLBUF_TESTS_SUPPORT_STORED_DESCRIPTORS_H_

#include <poll.h>

#include <cstddef>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "proto/wire/unique_fd.h"

namespace hlbuf {

// What a service manager keeps for a service, as systemd 252 does it, surprises included: what is
// beyond the limit, and a file that is there already under whatever name, is closed without a word;
// names need not be unique, and go together.
class StoredDescriptors {
 public:
  explicit StoredDescriptors(std::size_t limit) : limit_(limit) {}

  // `polled`: it goes when its other end hangs up.
  void Add(const std::string& name, UniqueFd fd, bool polled);
  void Remove(const std::string& name);
  void Clear() { stored_.clear(); }
  // Those that have hung up.
  void RemoveHungUp();

  // The newest first; borrowed.
  std::vector<std::pair<std::string, int>> All() const;
  std::vector<std::string> Names() const;
  // For poll(), with no event asked for.
  std::vector<pollfd> Polled() const;

 private:
  struct Stored {
    std::string name;
    UniqueFd fd;
    bool polled = false;
  };
  std::size_t limit_;
  std::list<Stored> stored_;  // the newest first
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_STORED_DESCRIPTORS_H_
