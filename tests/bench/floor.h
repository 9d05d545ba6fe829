// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_BENCH_FLOOR_H_
#define HLBUF_TESTS_BENCH_FLOOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "proto/hlbuf_wire.h"
#include "proto/wire/unique_fd.h"
#include "tests/bench/child.h"
#include "tests/bench/floor_wire.h"
#include "tests/bench/paths.h"

namespace hlbuf::bench {

// A running server of bare system calls, which has `descriptors` memfds to give.
class Floor {
 public:
  Floor(const Paths& paths, std::size_t descriptors);

  const std::string& socket_path() const { return socket_path_; }

 private:
  std::string socket_path_;
  UniqueFd listener_;
  Child server_;
};

// A client of it.
class FloorSession {
 public:
  explicit FloorSession(const Floor& floor);
  explicit FloorSession(const std::string& socket_path);

  int socket() const { return socket_.get(); }
  void Send(const FloorMessage& message);
  // One message; its descriptors are in fds(), and the caller's to close.
  void Receive();
  std::size_t fd_count() const { return fd_count_; }
  const int* fds() const { return fds_.data(); }

 private:
  UniqueFd socket_;
  std::size_t fd_count_ = 0;
  std::array<int, HLBUF_WIRE_BATCH_MAX> fds_;
};

}  // namespace hlbuf::bench

#endif  // HLBUF_TESTS_BENCH_FLOOR_H_
