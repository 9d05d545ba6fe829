// SPDX-License-Identifier: Apache-2.0
#include "tests/support/stored_descriptors.h"

#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace hlbuf {
namespace {

bool IsSameFile(int one, int other) {
  const pid_t self = ::getpid();
  return ::syscall(SYS_kcmp, self, self, KCMP_FILE, one, other) == 0;
}

bool HasHungUp(int fd) {
  pollfd p = {.fd = fd, .events = 0, .revents = 0};
  return ::poll(&p, 1, 0) > 0;
}

}  // namespace

void StoredDescriptors::Add(const std::string& name, UniqueFd fd, bool polled) {
  const bool is_there = std::any_of(stored_.begin(), stored_.end(), [&](const Stored& stored) {
    return IsSameFile(stored.fd.get(), fd.get());
  });
  if (is_there || stored_.size() >= limit_) return;
  stored_.push_front({.name = name, .fd = std::move(fd), .polled = polled});
}

void StoredDescriptors::Remove(const std::string& name) {
  stored_.remove_if([&](const Stored& stored) { return stored.name == name; });
}

void StoredDescriptors::RemoveHungUp() {
  stored_.remove_if(
      [](const Stored& stored) { return stored.polled && HasHungUp(stored.fd.get()); });
}

std::vector<std::pair<std::string, int>> StoredDescriptors::All() const {
  std::vector<std::pair<std::string, int>> all;
  for (const Stored& stored : stored_) all.emplace_back(stored.name, stored.fd.get());
  return all;
}

std::vector<std::string> StoredDescriptors::Names() const {
  std::vector<std::string> names;
  for (const Stored& stored : stored_) names.push_back(stored.name);
  return names;
}

std::vector<pollfd> StoredDescriptors::Polled() const {
  std::vector<pollfd> polled;
  for (const Stored& stored : stored_)
    if (stored.polled) polled.push_back({.fd = stored.fd.get(), .events = 0, .revents = 0});
  return polled;
}

}  // namespace hlbuf
