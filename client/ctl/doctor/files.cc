// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace hlbuf::ctl::doctor {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBytesMax = 64 << 10;

}  // namespace

absl::Status ErrorAt(const std::string& path, int error) {
  const absl::Status status = absl::ErrnoToStatus(error, path);
  if (!absl::IsPermissionDenied(status) || ::geteuid() != 0) return status;
  return absl::UnknownError(status.message());
}

absl::StatusOr<std::string> FileBytes(const std::string& path) {
  // To open a device can have effects, and some paths come from processes of other users.
  const int place = ::open(path.c_str(), O_PATH | O_CLOEXEC);
  if (place < 0) return ErrorAt(path, errno);
  const absl::Cleanup leave = [place] { ::close(place); };
  struct stat seen = {};
  if (::fstat(place, &seen) != 0) return ErrorAt(path, errno);
  if (!S_ISREG(seen.st_mode))
    return absl::FailedPreconditionError(absl::StrCat(path, ": no regular file"));
  const int fd = ::open(absl::StrCat("/proc/self/fd/", place).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrorAt(path, errno);
  const absl::Cleanup close = [fd] { ::close(fd); };
  std::string bytes(kBytesMax, '\0');
  std::size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t n = ::read(fd, bytes.data() + size, bytes.size() - size);
    if (n < 0) return ErrorAt(path, errno);
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  bytes.resize(size);
  return bytes;
}

absl::StatusOr<std::string> FileText(const std::string& path) {
  absl::StatusOr<std::string> bytes = FileBytes(path);
  if (bytes.ok()) absl::StripAsciiWhitespace(&*bytes);
  return bytes;
}

absl::Status ForEachLine(const std::string& path,
                         const std::function<bool(absl::string_view)>& see) {
  errno = 0;
  std::ifstream file(path);
  if (!file) return ErrorAt(path, errno != 0 ? errno : EIO);
  for (std::string line; std::getline(file, line);)
    if (!see(line)) break;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> NamesIn(const std::string& directory) {
  std::error_code error;
  fs::directory_iterator entry(directory, error);
  std::vector<std::string> names;
  for (; !error && entry != fs::directory_iterator(); entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error) return ErrorAt(directory, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<std::string> LinkAt(const std::string& path) {
  std::error_code error;
  const fs::path target = fs::read_symlink(path, error);
  if (error) return ErrorAt(path, error.value());
  return target.string();
}

bool Exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

absl::Status LookFor(const std::string& path) {
  struct stat seen = {};
  return ::stat(path.c_str(), &seen) == 0 ? absl::OkStatus() : ErrorAt(path, errno);
}

std::string BaseName(absl::string_view path) {
  return std::string(absl::StripSuffix(path.substr(path.rfind('/') + 1), " (deleted)"));
}

std::string ValueIn(absl::string_view text, absl::string_view key) {
  for (absl::string_view line : absl::StrSplit(text, '\n'))
    if (absl::ConsumePrefix(&line, key)) return std::string(absl::StripAsciiWhitespace(line));
  return "";
}

std::optional<std::pair<unsigned, unsigned>> KernelVersion(absl::string_view release) {
  const std::vector<absl::string_view> numbers = absl::StrSplit(release, absl::ByAnyChar(".-+ "));
  std::pair<unsigned, unsigned> version;
  if (numbers.size() < 2 || !absl::SimpleAtoi(numbers[0], &version.first) ||
      !absl::SimpleAtoi(numbers[1], &version.second))
    return std::nullopt;
  return version;
}

std::string WhyUnknown(const absl::Status& status) {
  return absl::StrCat(status.message(), absl::IsPermissionDenied(status) ? " (needs root)" : "");
}

std::string HowToKnow(const absl::Status& status) {
  return absl::IsPermissionDenied(status) ? "run `hl-bufctl doctor` as root" : "";
}

}  // namespace hlbuf::ctl::doctor
