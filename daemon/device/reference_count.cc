// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/reference_count.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

constexpr absl::string_view kCount = "\ncount:\t";
// A dma-buf's own lines are below 300 bytes. Each record lock that a holder set through the same
// open file adds one line in front of them.
constexpr std::size_t kFdinfoBytes = 4096;

// Locks belong to the open file, which we share with everybody who holds the dma-buf; they serve
// nobody on one, and would push the count out of sight for as long as we keep the file open.
void DropLocks(int fd) {
  struct flock everything = {};
  everything.l_type = F_UNLCK;
  everything.l_whence = SEEK_SET;
  (void)::fcntl(fd, F_OFD_SETLK, &everything);
  (void)::flock(fd, LOCK_UN);
}

// 0: there is none. Reading from the beginning makes the kernel write the text anew.
std::uint32_t ReadCount(int fdinfo, int fd) {
  std::array<char, kFdinfoBytes> text;
  for (const bool last_try : {false, true}) {
    const ssize_t size = ::pread(fdinfo, text.data(), text.size(), 0);
    if (size < 0) return 0;
    const absl::string_view seen(text.data(), static_cast<std::size_t>(size));
    if (const auto count = ParseReferenceCount(seen)) return *count;
    if (seen.size() < text.size() || last_try) return 0;
    DropLocks(fd);
  }
  return 0;
}

}  // namespace

std::optional<std::uint32_t> ParseReferenceCount(absl::string_view fdinfo) {
  const std::size_t at = fdinfo.find(kCount);
  if (at == absl::string_view::npos) return std::nullopt;
  const absl::string_view rest = fdinfo.substr(at + kCount.size());
  const std::size_t end = rest.find('\n');
  std::uint32_t count = 0;
  if (end == absl::string_view::npos || !absl::SimpleAtoi(rest.substr(0, end), &count))
    return std::nullopt;
  return count;
}

ReferenceCounter::ReferenceCounter(const std::string& fdinfo_directory)
    : directory_(::open(fdinfo_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {}

void ReferenceCounter::Read(absl::Span<const int> fds, absl::Span<std::uint32_t> counts) const {
  for (std::size_t i = 0; i < fds.size(); ++i) {
    const UniqueFd fdinfo(
        ::openat(directory_.get(), absl::StrCat(fds[i]).c_str(), O_RDONLY | O_CLOEXEC));
    const std::uint32_t first = ReadCount(fdinfo.get(), fds[i]);
    const std::uint32_t second = ReadCount(fdinfo.get(), fds[i]);
    counts[i] = first == 0 || second == 0 ? 0 : std::max(first, second);
  }
}

}  // namespace hlbuf
