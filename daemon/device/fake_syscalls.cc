// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/fake_syscalls.h"

#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr unsigned kNoexecSeal = 0x0008U;

int NewDmaBuf(std::uint64_t size_bytes) {
  const int fd = ::memfd_create("fake-dmabuf", MFD_CLOEXEC);
  return ::ftruncate(fd, static_cast<off_t>(size_bytes)) == 0 ? fd : -1;
}

int Refuse(int error) {
  errno = error;
  return -1;
}

}  // namespace

void FakeSyscalls::Fail(Call call, int error, int times) {
  failures_[static_cast<std::size_t>(call)] = {.error = error, .times = times};
}

bool FakeSyscalls::Fails(Call call) {
  Failure& failure = failures_[static_cast<std::size_t>(call)];
  if (failure.times == 0) return false;
  --failure.times;
  errno = failure.error;
  return true;
}

UniqueFd FakeSyscalls::Open(const std::string& path, int flags) {
  if (Fails(Call::kOpen)) return UniqueFd();
  opened.push_back(path);
  return Syscalls::Open("/dev/null", flags);
}

UniqueFd FakeSyscalls::MemfdCreate(const std::string& name, unsigned flags) {
  if (Fails(Call::kMemfdCreate)) return UniqueFd();
  if (!noexec_memfds && (flags & kNoexecSeal) != 0) return UniqueFd(Refuse(EINVAL));
  memfds.push_back(name);
  return Syscalls::MemfdCreate(name, flags);
}

int FakeSyscalls::Ftruncate(int fd, std::uint64_t size_bytes) {
  return Fails(Call::kFtruncate) ? -1 : Syscalls::Ftruncate(fd, size_bytes);
}

int FakeSyscalls::AddSeals(int fd, int seals) {
  return Fails(Call::kAddSeals) ? -1 : Syscalls::AddSeals(fd, seals);
}

int FakeSyscalls::PunchHole(int fd, std::uint64_t offset, std::uint64_t size_bytes) {
  return Fails(Call::kPunchHole) ? -1 : Syscalls::PunchHole(fd, offset, size_bytes);
}

off_t FakeSyscalls::SeekData(int fd, std::uint64_t offset) {
  return Fails(Call::kSeekData) ? -1 : Syscalls::SeekData(fd, offset);
}

int FakeSyscalls::Inode(int fd, ino_t* inode) {
  return Fails(Call::kInode) ? -1 : Syscalls::Inode(fd, inode);
}

std::optional<std::string> FakeSyscalls::ReadText(const std::string& path) {
  const auto it = texts.find(path);
  if (it == texts.end()) return std::nullopt;
  return it->second;
}

int FakeSyscalls::Ioctl(int, unsigned long request, void* argument) {
  switch (request) {
    case UDMABUF_CREATE:
      return Fails(Call::kCreateUdmabuf) ? -1 : CreateUdmabuf(argument);
    case DMA_HEAP_IOCTL_ALLOC:
      return Fails(Call::kAllocateFromHeap) ? -1 : AllocateFromHeap(argument);
    case DMA_BUF_SET_NAME:
      if (Fails(Call::kSetName)) return -1;
      dmabuf_names.emplace_back(static_cast<const char*>(argument));
      return 0;
    default:
      return Refuse(ENOTTY);
  }
}

// As strict as the driver.
int FakeSyscalls::CreateUdmabuf(void* argument) {
  const auto& request = *static_cast<const udmabuf_create*>(argument);
  const int memfd = static_cast<int>(request.memfd);
  const int seals = ::fcntl(memfd, F_GET_SEALS);
  if (seals < 0) return Refuse(EBADFD);
  if ((seals & F_SEAL_SHRINK) == 0 || (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0)
    return Refuse(EINVAL);
  if (request.flags != UDMABUF_FLAGS_CLOEXEC || request.offset % kPage != 0 ||
      request.size % kPage != 0 || request.size == 0)
    return Refuse(EINVAL);

  std::string contents(request.size, '?');
  const auto at = static_cast<off_t>(request.offset);
  if (::pread(memfd, contents.data(), contents.size(), at) != static_cast<ssize_t>(contents.size()))
    return Refuse(EINVAL);
  windows_were_clean.push_back(
      std::all_of(contents.begin(), contents.end(), [](char c) { return c == 0; }));
  contents.assign(contents.size(), kUserByte);
  if (::pwrite(memfd, contents.data(), contents.size(), at) < 0) return -1;
  return NewDmaBuf(request.size);
}

int FakeSyscalls::AllocateFromHeap(void* argument) {
  auto& request = *static_cast<dma_heap_allocation_data*>(argument);
  if (request.len == 0 || request.heap_flags != 0 ||
      request.fd_flags != (std::uint32_t{O_RDWR} | std::uint32_t{O_CLOEXEC}))
    return Refuse(EINVAL);
  const int fd = NewDmaBuf(request.len);
  request.fd = static_cast<std::uint32_t>(fd);
  return fd < 0 ? -1 : 0;
}

std::size_t OpenFdCount() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  // The iterator's own descriptor is among them.
  return static_cast<std::size_t>(std::distance(begin(all), end(all))) - 1;
}

bool IsCloseOnExec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

}  // namespace hlbuf
