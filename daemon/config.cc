// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/base/status_macros.h"
#include "daemon/config_sections.h"
#include "daemon/core/names.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{1} << 20;

absl::Status CannotRead(const std::string& path, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat("the configuration ", path, " cannot be read"));
}

absl::StatusOr<std::string> ReadWhole(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return CannotRead(path, errno);
  std::string text(kFileBytesMax + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = read(file.get(), text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return CannotRead(path, errno);
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  if (size > kFileBytesMax)
    return absl::InvalidArgumentError(
        absl::StrCat("the configuration ", path, " is larger than ", kFileBytesMax, " bytes"));
  text.resize(size);
  return text;
}

// How many bytes a character of UTF-8 has, by its first byte; 1 for what cannot begin one.
std::size_t CharacterBytes(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0xc2 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf5 ? 4 : 1;
}

// `text` with U+FFFD for each character beyond ASCII: toml++ (to 3.4 at least) runs into undefined
// behaviour when it asks whether certain ones of them are spaces. Nothing is lost. They are good in
// comments alone, since no value here may have them, and a place in the file is counted in
// characters.
std::string MaskBeyondAscii(absl::string_view text) {
  constexpr absl::string_view kByteOrderMark = "\xef\xbb\xbf";
  constexpr absl::string_view kReplacement = "\xef\xbf\xbd";
  std::string masked;
  masked.reserve(text.size());
  if (absl::ConsumePrefix(&text, kByteOrderMark)) absl::StrAppend(&masked, kByteOrderMark);
  while (!text.empty()) {
    const absl::string_view character = text.substr(0, CharacterBytes(text.front()));
    const bool whole = std::all_of(character.begin() + 1, character.end(),
                                   [](char c) { return (c & 0xc0) == 0x80; });
    const bool mask = whole && character.size() > 1;
    absl::StrAppend(&masked, mask ? kReplacement : text.substr(0, 1));
    text.remove_prefix(mask ? character.size() : 1);
  }
  return masked;
}

void ReadAll(TableReader& root, const Machine& machine, Config& config) {
  ReadSockets(root, machine, config.sockets);
  ReadRoles(root, machine, config.roles);
  ReadControlTcp(root, config.control_tcp);
  ReadDevices(root, machine, config);
  ReadRules(root, machine, config);
  ReadLimits(root, machine, config);
  ReadTiming(root, config.timing);
  ReadState(root, config.state);
  ReadEnforcement(root, config.enforcement);
  ReadLog(root, config.log_level);
  root.RejectOthers();
}

}  // namespace

absl::StatusOr<Config> ParseConfig(absl::string_view text, absl::string_view file_name,
                                   const Machine& machine) {
  ConfigErrors errors(file_name);
  const toml::parse_result parsed = toml::parse(MaskBeyondAscii(text));
  if (!parsed) {
    const std::string why(parsed.error().description());
    errors.Add(parsed.error().source(), Printable(why, why.size()));
    return errors.ToStatus();
  }
  Config config;
  TableReader root(parsed.table(), "", errors);
  ReadAll(root, machine, config);
  RETURN_IF_ERROR(errors.ToStatus());
  return config;
}

absl::StatusOr<Config> LoadConfig(const std::string& path, const Machine& machine) {
  ASSIGN_OR_RETURN(const std::string text, ReadWhole(path));
  return ParseConfig(text, path, machine);
}

}  // namespace hlbuf
