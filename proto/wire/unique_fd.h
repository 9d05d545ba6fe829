// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_PROTO_WIRE_UNIQUE_FD_H_
#define HLBUF_PROTO_WIRE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace hlbuf {

// Owns one file descriptor. A plain int is a borrowed one, good for the call it is passed to.
//
// close() is never retried: on Linux the descriptor is gone whatever it returned, and the number
// may already be somebody else's.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }
  void Reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace hlbuf

#endif  // HLBUF_PROTO_WIRE_UNIQUE_FD_H_
