// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal/journal_source.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "daemon/base/status_macros.h"
#include "daemon/persist/journal_layout.h"

namespace hlbuf {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMemfd = "/memfd:hl-bufd-journal";

absl::Status CannotRead(const std::string& what, int error) {
  const bool rights = error == EACCES || error == EPERM;
  return absl::Status(
      absl::ErrnoToStatusCode(error),
      absl::StrCat(what, ": ", std::strerror(error),
                   rights ? "; run this as root, or as the user of the service" : ""));
}

absl::Status CheckKind(const UniqueFd& file, const std::string& path, std::uint64_t bytes_max) {
  struct stat stat = {};
  if (::fstat(file.get(), &stat) != 0) return CannotRead(path, errno);
  if (!S_ISREG(stat.st_mode))
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     " is no regular file, so it is no journal; name the file \"journal\" of "
                     "state.directory, or the pid of hl-bufd"));
  if (static_cast<std::uint64_t>(stat.st_size) > bytes_max)
    return absl::InvalidArgumentError(absl::StrCat(path, " has ", stat.st_size,
                                                   " bytes, and no journal more than ", bytes_max,
                                                   "; name another file"));
  return absl::OkStatus();
}

bool IsMemfd(absl::string_view target) {
  static_cast<void>(absl::ConsumeSuffix(&target, " (deleted)"));
  return target == kMemfd;
}
bool IsJournalFile(absl::string_view target) { return absl::EndsWith(target, "/journal"); }

}  // namespace

absl::StatusOr<UniqueFd> OpenJournal(const std::string& path, std::uint64_t bytes_max) {
  // Not opened yet: only named.
  const UniqueFd named(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!named) return CannotRead(path, errno);
  RETURN_IF_ERROR(CheckKind(named, path, bytes_max));
  UniqueFd file(
      ::open(absl::StrCat("/proc/self/fd/", named.get()).c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file) return CannotRead(path, errno);
  return file;
}

absl::StatusOr<std::string> FindJournalOf(pid_t pid, const std::string& proc) {
  const fs::path descriptors = fs::path(proc) / std::to_string(pid) / "fd";
  std::error_code error;
  std::string memfd, file;
  for (fs::directory_iterator it(descriptors, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code gone;
    const std::string target = fs::read_symlink(it->path(), gone).string();
    if (memfd.empty() && IsMemfd(target)) memfd = it->path().string();
    if (file.empty() && IsJournalFile(target)) file = it->path().string();
  }
  if (error == std::errc::no_such_file_or_directory)
    return absl::NotFoundError(absl::StrCat("there is no process ", pid));
  if (error) return CannotRead(absl::StrCat("the descriptors of process ", pid), error.value());
  if (memfd.empty() && file.empty())
    return absl::NotFoundError(absl::StrCat("process ", pid,
                                            " has no journal: it is no hl-bufd, or one that "
                                            "neither has a state.directory nor a service "
                                            "manager that keeps its descriptors"));
  return memfd.empty() ? file : memfd;
}

absl::StatusOr<JournalCopy> CopyJournal(const UniqueFd& file) {
  JournalCopy copy = {.file = UniqueFd(::memfd_create("hl-bufd-journal-copy", MFD_CLOEXEC))};
  if (!copy.file) return absl::ErrnoToStatus(errno, "memory for a copy of the journal");
  std::vector<char> chunk(std::size_t{1} << 20);
  for (std::uint64_t at = 0; at <= kJournalBytesMax;) {
    const ssize_t n = ::pread(file.get(), chunk.data(), chunk.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, "read the journal");
    if (n == 0) return copy;
    const auto bytes = static_cast<std::size_t>(n);
    if (::pwrite(copy.file.get(), chunk.data(), bytes, static_cast<off_t>(at)) != n)
      return absl::ResourceExhaustedError("there is no memory for a copy of the journal");
    copy.hash = XXH3_64bits_withSeed(chunk.data(), bytes, copy.hash);
    at += bytes;
  }
  return absl::InvalidArgumentError("it grows beyond what a journal can have");
}

}  // namespace hlbuf
