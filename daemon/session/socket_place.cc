// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/socket_place.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "daemon/base/status_macros.h"

namespace hlbuf {
namespace {

bool IsTrusted(uid_t owner) { return owner == 0 || owner == ::geteuid(); }

absl::Status Look(const std::string& path, struct stat& at) {
  if (::lstat(path.c_str(), &at) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("look at ", path));
}

absl::Status BelongsToAnother(const std::string& path, uid_t owner) {
  return absl::PermissionDeniedError(
      absl::StrCat(path, " belongs to uid ", owner,
                   ", who could put another socket in the place of the service's; give it to root, "
                   "or name a socket elsewhere"));
}

// `innermost`: it is the directory of the socket.
absl::Status CheckEntry(const std::string& path, bool innermost) {
  struct stat at = {};
  RETURN_IF_ERROR(Look(path, at));
  if (!IsTrusted(at.st_uid)) return BelongsToAnother(path, at.st_uid);
  if (S_ISLNK(at.st_mode)) return absl::OkStatus();  // has no mode; what it leads to is looked at
  const bool sticky = (at.st_mode & S_ISVTX) != 0;
  if ((at.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (sticky && !innermost)) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrFormat(
      "%s has mode %04o, so others than its owner could put another socket in the place of the "
      "service's; chmod 0755, or name a socket elsewhere",
      path, at.st_mode & 07777));
}

absl::Status CheckAllAbove(const std::filesystem::path& directory) {
  for (std::filesystem::path at = directory;; at = at.parent_path()) {
    RETURN_IF_ERROR(CheckEntry(at.string(), at == directory));
    if (at == at.root_path()) return absl::OkStatus();
  }
}

}  // namespace

absl::Status CheckSocketPlace(const std::string& path) {
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(directory, error);
  if (error)
    return absl::ErrnoToStatus(error.value(), absl::StrCat("look at ", directory.string()));
  RETURN_IF_ERROR(CheckAllAbove(directory.lexically_normal()));
  return real == directory ? absl::OkStatus() : CheckAllAbove(real);
}

absl::Status CheckBoundSocket(const std::string& path, mode_t mode, std::optional<gid_t> group) {
  RETURN_IF_ERROR(CheckSocketPlace(path));
  struct stat at = {};
  RETURN_IF_ERROR(Look(path, at));
  if (!S_ISSOCK(at.st_mode))
    return absl::PermissionDeniedError(
        absl::StrCat(path, " is no socket any more; restart the unit that made it"));
  if (!IsTrusted(at.st_uid)) return BelongsToAnother(path, at.st_uid);
  if ((at.st_mode & 0777 & ~mode) != 0)
    return absl::PermissionDeniedError(absl::StrFormat(
        "%s has mode %04o, and more may connect than by the %04o that is configured; make "
        "SocketMode= of its unit and the configuration agree",
        path, at.st_mode & 0777, mode));
  if ((at.st_mode & S_IWGRP) != 0 && group.has_value() && at.st_gid != *group)
    return absl::PermissionDeniedError(
        absl::StrCat(path, " lets group ", at.st_gid, " connect, and configured is group ", *group,
                     "; make SocketGroup= of its unit and the configuration agree"));
  return absl::OkStatus();
}

}  // namespace hlbuf
