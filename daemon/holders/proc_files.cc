// SPDX-License-Identifier: Apache-2.0
#include "daemon/holders/proc_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>

namespace hlbuf {
namespace {

constexpr std::size_t kSmallBytes = 4096;
constexpr std::size_t kChunkBytes = 65'536;
constexpr std::size_t kLineBytesMax = 8192;  // a path and what stands before it

bool IsNumber(const char* name) {
  for (const char* c = name; *c != '\0'; ++c)
    if (*c < '0' || *c > '9') return false;
  return *name != '\0';
}

}  // namespace

UniqueFd OpenBelow(int directory, const char* name, int flags) {
  return UniqueFd(::openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags));
}

bool HasEnded(int error) { return error == ENOENT || error == ESRCH; }

int VisitNumbers(UniqueFd directory, const std::function<bool(const char*)>& visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(directory.get()), ::closedir);
  if (listing == nullptr) return errno;
  static_cast<void>(directory.Release());
  while (true) {
    errno = 0;
    const dirent* const entry = ::readdir(listing.get());
    if (entry == nullptr) return errno;
    if (IsNumber(entry->d_name) && !visit(entry->d_name)) return 0;
  }
}

int VisitLines(int directory, const char* name, const std::function<bool(std::string_view)>& line) {
  const UniqueFd file = OpenBelow(directory, name);
  if (!file) return errno;
  std::string text;
  std::string chunk(kChunkBytes, '\0');
  while (true) {
    const ssize_t n = ::read(file.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) return 0;
    text.append(chunk, 0, static_cast<std::size_t>(n));
    std::size_t begin = 0;
    for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
      if (!line(std::string_view(text).substr(begin, end - begin))) return 0;
    text.erase(0, begin);
    if (text.size() > kLineBytesMax) text.resize(kLineBytesMax);
  }
}

std::string ReadSmall(int directory, const char* name) {
  const UniqueFd file = OpenBelow(directory, name);
  std::string text(kSmallBytes, '\0');
  const ssize_t n = file ? ::read(file.get(), text.data(), text.size()) : 0;
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return text;
}

std::string ReadLink(int directory, const char* name) {
  std::array<char, 256> path;  // what is longer is none of ours
  const ssize_t n = ::readlinkat(directory, name, path.data(), path.size());
  return {path.data(), n > 0 ? static_cast<std::size_t>(n) : 0};
}

}  // namespace hlbuf
