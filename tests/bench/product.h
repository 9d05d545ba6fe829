// SPDX-License-Identifier: Apache-2.0
// What is measured: an hl-bufd of its own, and sessions with it through libhlbuf.
#ifndef HLBUF_TESTS_BENCH_PRODUCT_H_
#define HLBUF_TESTS_BENCH_PRODUCT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hlbuf/hlbuf.h"
#include "tests/bench/child.h"
#include "tests/bench/paths.h"

namespace hlbuf::bench {

// A daemon on a software device, with limits that no row reaches. Ready when the constructor
// returns.
class Daemon {
 public:
  explicit Daemon(const Paths& paths);

  const std::string& client_socket() const { return client_socket_; }
  const std::string& control_socket() const { return control_socket_; }
  pid_t pid() const { return child_->pid(); }
  // Memory that is neither a file's nor shared: what its records take.
  std::uint64_t AnonymousBytes() const;

 private:
  std::string client_socket_;
  std::string control_socket_;
  std::unique_ptr<Child> child_;
};

// A session. Requests that fail end the benchmark.
class Session {
 public:
  explicit Session(const std::string& socket_path, const hlbuf_callbacks* callbacks = nullptr);
  ~Session() { hlbuf_client_close(client_); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  hlbuf_client* client() const { return client_; }
  hlbuf_buffer* Allocate();  // of one page
  hlbuf_buffer* Open(std::uint64_t buffer_id);
  // Into results[0..count).
  void OpenMany(const hlbuf_open_item* items, std::size_t count, hlbuf_open_result* results);
  // Returns when the daemon has done everything that was asked before, one-way or not.
  void Settle();

 private:
  hlbuf_client* client_ = nullptr;
};

// Buffers that live as long as this object, and none of whose descriptors are here.
class Buffers {
 public:
  Buffers(Session& session, std::size_t count);
  ~Buffers() { hlbuf_buffers_release(held_.data(), held_.size()); }
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  const std::vector<std::uint64_t>& ids() const { return ids_; }

 private:
  std::vector<hlbuf_buffer*> held_;
  std::vector<std::uint64_t> ids_;
};

}  // namespace hlbuf::bench

#endif  // HLBUF_TESTS_BENCH_PRODUCT_H_
