// SPDX-License-Identifier: Apache-2.0
#include "daemon/holders/question.h"

#include <algorithm>

#include "daemon/holders/holders_wire.h"
#include "daemon/holders/words.h"

namespace hlbuf {
namespace {

constexpr std::string_view kHead = "hl-bufd-holders 1";
static_assert(HLBUF_HOLDERS_VERSION == 1);

bool HasTwice(std::vector<HeldFile> files) {
  std::sort(files.begin(), files.end());
  return std::adjacent_find(files.begin(), files.end()) != files.end();
}

}  // namespace

std::string FileText(const HeldFile& file) {
  return (file.kind == HeldFile::Kind::kDmabuf ? "dmabuf " : "memfd ") + std::to_string(file.inode);
}

std::optional<HeldFile> ParseFile(std::string_view text) {
  HeldFile file;
  if (TakePrefix(text, "memfd "))
    file.kind = HeldFile::Kind::kMemfd;
  else if (!TakePrefix(text, "dmabuf "))
    return std::nullopt;
  const auto inode = ToNumber<std::uint64_t>(text);
  if (!inode.has_value()) return std::nullopt;
  file.inode = *inode;
  return file;
}

std::string FormatQuestion(const std::vector<HeldFile>& files) {
  std::string text(kHead);
  text += '\n';
  for (const HeldFile& file : files) text += FileText(file) + '\n';
  return text + "end\n";
}

std::optional<std::vector<HeldFile>> ParseQuestion(std::string_view text) {
  if (text.size() > HLBUF_HOLDERS_QUESTION_BYTES_MAX || !text.ends_with('\n')) return std::nullopt;
  if (TakeUntil(text, '\n') != kHead) return std::nullopt;
  std::vector<HeldFile> files;
  while (!text.empty()) {
    const std::string_view line = TakeUntil(text, '\n');
    if (line == "end")
      return text.empty() && !HasTwice(files) ? std::optional(files) : std::nullopt;
    const std::optional<HeldFile> file = ParseFile(line);
    if (!file.has_value() || files.size() == HLBUF_HOLDERS_FILES_MAX) return std::nullopt;
    files.push_back(*file);
  }
  return std::nullopt;
}

}  // namespace hlbuf
