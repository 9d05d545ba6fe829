// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_CARD_REGISTRATIONS_H_
#define HLBUF_TESTS_CARD_REGISTRATIONS_H_

#include <fcntl.h>
#include <sys/ioctl.h>

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

#include "proto/wire/unique_fd.h"
#include "tests/vm/hlsim/hlsim.h"

namespace hlbuf {

// The node of an importer, as a process with an RDMA device has it; or none. For programs that are
// no tests.
class Registrations {
 public:
  // "-": none.
  explicit Registrations(const std::string& node) {
    if (node == "-") return;
    fd_ = UniqueFd(::open(node.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd_) std::perror(node.c_str());
  }
  bool are_possible() const { return static_cast<bool>(fd_); }

  // 0 and an errno: it could not.
  std::uint32_t Make(int dmabuf, std::uint64_t size_bytes) const {
    hlimport_register args = {.offset = 0, .length = size_bytes, .fd = dmabuf, .id = 0};
    return ::ioctl(fd_.get(), HLIMPORT_REGISTER, &args) == 0 ? args.id : 0;
  }
  void End(std::uint32_t id) const { ::ioctl(fd_.get(), HLIMPORT_DEREGISTER, id); }
  bool Write(std::uint32_t id, std::span<const std::uint64_t> words, std::uint64_t at = 0) const {
    return Copy(HLIMPORT_WRITE, id, reinterpret_cast<std::uintptr_t>(words.data()), words.size(),
                at);
  }
  bool Read(std::uint32_t id, std::span<std::uint64_t> words, std::uint64_t at = 0) const {
    return Copy(HLIMPORT_READ, id, reinterpret_cast<std::uintptr_t>(words.data()), words.size(),
                at);
  }

 private:
  // `at`: a word of the registration.
  bool Copy(unsigned long command, std::uint32_t id, std::uintptr_t bytes, std::size_t words,
            std::uint64_t at) const {
    hlimport_copy args = {.offset = at * sizeof(std::uint64_t),
                          .length = words * sizeof(std::uint64_t),
                          .bytes = bytes,
                          .id = id};
    return ::ioctl(fd_.get(), command, &args) == 0;
  }
  UniqueFd fd_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_CARD_REGISTRATIONS_H_
