// SPDX-License-Identifier: Apache-2.0
// What descriptors another process has, as the kernel shows them.
#ifndef HLBUF_TESTS_SUPPORT_DESCRIPTORS_H_
#define HLBUF_TESTS_SUPPORT_DESCRIPTORS_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/types.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <string>

#include "proto/wire/unique_fd.h"

namespace hlbuf {

// By number: what each refers to, as /proc/PID/fd has it.
inline std::map<int, std::string> DescriptorsOf(pid_t pid) {
  std::map<int, std::string> found;
  std::error_code gone;  // the process, or a descriptor since it was listed
  const std::string directory = "/proc/" + std::to_string(pid) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(directory, gone))
    found[std::stoi(entry.path().filename())] = std::filesystem::read_symlink(entry, gone);
  return found;
}

// How many descriptors of `pid` are memfds of that name.
inline std::size_t CountMemfds(pid_t pid, const std::string& name) {
  const std::map<int, std::string> all = DescriptorsOf(pid);
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [&](const auto& entry) {
    return entry.second == "/memfd:" + name + " (deleted)";
  }));
}

inline UniqueFd Memfd(const std::string& name) {
  UniqueFd fd(::memfd_create(name.c_str(), MFD_CLOEXEC));
  EXPECT_TRUE(fd);
  return fd;
}

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_DESCRIPTORS_H_
