// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_HOLDERS_QUESTION_H_
#define HLBUF_DAEMON_HOLDERS_QUESTION_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hlbuf {

// A file as its file system numbers it: the kernel has one for all dma-bufs, and one for all
// memfds.
struct HeldFile {
  enum class Kind : std::uint8_t { kDmabuf, kMemfd };
  Kind kind = Kind::kDmabuf;
  std::uint64_t inode = 0;
  friend auto operator<=>(const HeldFile&, const HeldFile&) = default;
};

// As holders_wire.h has it. nullopt: it is none.
std::string FormatQuestion(const std::vector<HeldFile>& files);
std::optional<std::vector<HeldFile>> ParseQuestion(std::string_view text);

// "dmabuf 4711"
std::string FileText(const HeldFile& file);
std::optional<HeldFile> ParseFile(std::string_view text);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_HOLDERS_QUESTION_H_
