// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/syscalls.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstddef>

namespace hlbuf {

UniqueFd Syscalls::Open(const std::string& path, int flags) {
  return UniqueFd(::open(path.c_str(), flags));
}

UniqueFd Syscalls::MemfdCreate(const std::string& name, unsigned flags) {
  return UniqueFd(::memfd_create(name.c_str(), flags));
}

int Syscalls::Ftruncate(int fd, std::uint64_t size_bytes) {
  return ::ftruncate(fd, static_cast<off_t>(size_bytes));
}

int Syscalls::AddSeals(int fd, int seals) { return ::fcntl(fd, F_ADD_SEALS, seals); }

int Syscalls::Ioctl(int fd, unsigned long request, void* argument) {
  return ::ioctl(fd, request, argument);
}

int Syscalls::PunchHole(int fd, std::uint64_t offset, std::uint64_t size_bytes) {
  return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                     static_cast<off_t>(size_bytes));
}

off_t Syscalls::SeekData(int fd, std::uint64_t offset) {
  return ::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
}

int Syscalls::Inode(int fd, ino_t* inode) {
  struct stat status = {};
  const int result = ::fstat(fd, &status);
  *inode = status.st_ino;
  return result;
}

int Syscalls::Size(int fd, std::uint64_t* bytes) {
  struct stat status = {};
  const int result = ::fstat(fd, &status);
  *bytes = static_cast<std::uint64_t>(status.st_size);
  return result;
}

int Syscalls::DeviceNumber(int fd, dev_t* number) {
  struct stat status = {};
  const int result = ::fstat(fd, &status);
  *number = status.st_rdev;
  return result;
}

UniqueFd Syscalls::Eventfd() { return UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

std::optional<std::string> Syscalls::ReadText(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> text;
  const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
  if (size < 0) return std::nullopt;
  return std::string(text.data(), static_cast<std::size_t>(size));
}

int Syscalls::WriteText(const std::string& path, const std::string& text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return -1;
  return ::write(file.get(), text.data(), text.size()) < 0 ? -1 : 0;
}

bool Syscalls::MayWrite(const std::string& path) { return ::access(path.c_str(), W_OK) == 0; }

absl::Duration Syscalls::SinceBoot() {
  timespec now = {};
  (void)::clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::DurationFromTimespec(now);
}

void Syscalls::Pause(absl::Duration time) {
  (void)::poll(nullptr, 0, static_cast<int>(absl::ToInt64Milliseconds(time)));
}

}  // namespace hlbuf
