// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_REFERENCE_COUNT_H_
#define HLBUF_DAEMON_DEVICE_REFERENCE_COUNT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// The `count:` of a dma-buf's fdinfo text. nullopt: there is none, so it is no dma-buf. Only the
// first one is the kernel's: the name of a dma-buf, which any holder can set, comes behind it.
std::optional<std::uint32_t> ParseReferenceCount(absl::string_view fdinfo);

// Reads how many references the kernel holds on dma-bufs that this process has open. The kernel
// counts descriptors in every process and in unread messages, mappings, and importers.
class ReferenceCounter {
 public:
  explicit ReferenceCounter(const std::string& fdinfo_directory = "/proc/self/fdinfo");

  // The larger of two readings for each of `fds`; 0 where none could be made. A system call that
  // happens to use the descriptor makes it too high for a moment; it is never too low.
  void Read(absl::Span<const int> fds, absl::Span<std::uint32_t> counts) const;

 private:
  UniqueFd directory_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_REFERENCE_COUNT_H_
