// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
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

void ReadAll(TableReader& root, const Machine& machine, Config& config) {
  ReadSockets(root, machine, config.sockets);
  ReadRoles(root, machine, config.roles);
  ReadDevices(root, machine, config);
  ReadRules(root, machine, config);
  ReadLimits(root, machine, config.caps);
  ReadTiming(root, config.timing);
  ReadLog(root, config.log_level);
  root.RejectOthers();
}

}  // namespace

absl::StatusOr<Config> ParseConfig(absl::string_view text, absl::string_view file_name,
                                   const Machine& machine) {
  ConfigErrors errors(file_name);
  const toml::parse_result parsed = toml::parse(std::string(text));
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
