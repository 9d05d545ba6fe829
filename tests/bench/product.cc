// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/product.h"

#include <unistd.h>

#include <string>

#include "tests/bench/die.h"

namespace hlbuf::bench {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

void Check(int code, const hlbuf_error& error, const char* what) {
  if (code != HLBUF_OK) Die(std::string(what) + ": " + hlbuf_error_name(code) + ": " + error.text);
}

}  // namespace

Session::Session(const std::string& socket_path, const hlbuf_callbacks* callbacks) {
  hlbuf_connect_options options = {};
  options.struct_bytes = sizeof(options);
  options.socket_path = socket_path.c_str();
  if (callbacks != nullptr) options.callbacks = *callbacks;
  hlbuf_error error;
  Check(hlbuf_connect(&options, &client_, &error), error, "connect");
}

hlbuf_buffer* Session::Allocate() {
  hlbuf_allocate_options options = {};
  options.struct_bytes = sizeof(options);
  options.size_bytes = kPageBytes;
  hlbuf_buffer* buffer = nullptr;
  hlbuf_error error;
  Check(hlbuf_allocate(client_, &options, &buffer, &error), error, "allocate");
  return buffer;
}

hlbuf_buffer* Session::Open(std::uint64_t buffer_id) {
  hlbuf_buffer* buffer = nullptr;
  hlbuf_error error;
  Check(hlbuf_open_id(client_, buffer_id, &buffer, &error), error, "open");
  return buffer;
}

void Session::OpenMany(const hlbuf_open_item* items, std::size_t count,
                       hlbuf_open_result* results) {
  hlbuf_error error;
  Check(hlbuf_open_many(client_, items, count, results, &error), error, "open many");
  for (std::size_t i = 0; i < count; ++i)
    Check(results[i].error.code, results[i].error, "open many");
}

void Session::Settle() {
  hlbuf_device device;
  std::size_t count = 0;
  hlbuf_error error;
  Check(hlbuf_devices(client_, &device, 1, &count, &error), error, "devices");
}

Buffers::Buffers(Session& session, std::size_t count) {
  while (held_.size() < count) {
    hlbuf_buffer* const buffer = session.Allocate();
    ::close(hlbuf_buffer_take_fd(buffer));
    held_.push_back(buffer);
    ids_.push_back(hlbuf_buffer_id(buffer));
  }
}

}  // namespace hlbuf::bench
