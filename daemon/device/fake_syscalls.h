// SPDX-License-Identifier: Apache-2.0
// For tests: a kernel with any device, and any error on request. Memfds are real, and stand for
// dma-bufs too.
#ifndef HLBUF_DAEMON_DEVICE_FAKE_SYSCALLS_H_
#define HLBUF_DAEMON_DEVICE_FAKE_SYSCALLS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/device/syscalls.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

enum class Call {
  kOpen,
  kMemfdCreate,
  kFtruncate,
  kAddSeals,
  kCreateUdmabuf,
  kAllocateFromHeap,
  kSetName,
  kPunchHole,
  kSeekData,
  kInode,
  kCount
};

class FakeSyscalls final : public Syscalls {
 public:
  // The next `times` calls fail with `error` (errno), later ones work.
  void Fail(Call call, int error, int times = 1);

  UniqueFd Open(const std::string& path, int flags) override;
  UniqueFd MemfdCreate(const std::string& name, unsigned flags) override;
  int Ftruncate(int fd, std::uint64_t size_bytes) override;
  int AddSeals(int fd, int seals) override;
  int Ioctl(int fd, unsigned long request, void* argument) override;
  int PunchHole(int fd, std::uint64_t offset, std::uint64_t size_bytes) override;
  off_t SeekData(int fd, std::uint64_t offset) override;
  int Inode(int fd, ino_t* inode) override;
  std::optional<std::string> ReadText(const std::string& path) override;
  absl::Duration SinceBoot() override { return Syscalls::SinceBoot() + passed; }

  absl::Duration passed;                     // more than the machine thinks
  std::vector<std::string> opened;           // paths
  std::vector<std::string> memfds;           // names
  std::vector<std::string> dmabuf_names;     // of DMA_BUF_SET_NAME
  std::map<std::string, std::string> texts;  // path to contents
  bool noexec_memfds = true;                 // the kernel knows MFD_NOEXEC_SEAL
  // Of each window at its UDMABUF_CREATE: nothing of earlier users was in it. Whoever gets it then
  // fills it with kUserByte.
  std::vector<bool> windows_were_clean;
  static constexpr char kUserByte = 'u';

 private:
  struct Failure {
    int error = 0;
    int times = 0;
  };
  bool Fails(Call call);
  int CreateUdmabuf(void* argument);
  int AllocateFromHeap(void* argument);

  std::array<Failure, static_cast<std::size_t>(Call::kCount)> failures_;
};

// How many descriptors this process has open.
std::size_t OpenFdCount();
// False for a descriptor that an exec() would pass on.
bool IsCloseOnExec(int fd);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_FAKE_SYSCALLS_H_
