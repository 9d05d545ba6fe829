// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_SYSCALLS_H_
#define HLBUF_DAEMON_DEVICE_SYSCALLS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// The system calls that exporters make, so that a test can play every device and every errno. Each
// is what its manual page says: -1 and errno, or an empty UniqueFd and errno. Any thread.
class Syscalls {
 public:
  virtual ~Syscalls() = default;
  virtual UniqueFd Open(const std::string& path, int flags);
  virtual UniqueFd MemfdCreate(const std::string& name, unsigned flags);
  virtual int Ftruncate(int fd, std::uint64_t size_bytes);
  virtual int AddSeals(int fd, int seals);
  virtual int Ioctl(int fd, unsigned long request, void* argument);
  // fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
  virtual int PunchHole(int fd, std::uint64_t offset, std::uint64_t size_bytes);
  // lseek(SEEK_DATA)
  virtual off_t SeekData(int fd, std::uint64_t offset);
  virtual int Inode(int fd, ino_t* inode);          // fstat()
  virtual int Size(int fd, std::uint64_t* bytes);   // fstat(): of a file
  virtual int DeviceNumber(int fd, dev_t* number);  // fstat(): of a device node
  virtual UniqueFd Eventfd();                       // close-on-exec, non-blocking
  // The whole of a small file, as sysfs has them. nullopt: unreadable.
  virtual std::optional<std::string> ReadText(const std::string& path);
  virtual int WriteText(const std::string& path, const std::string& text);  // what exists
  virtual bool MayWrite(const std::string& path);                           // access()
  virtual absl::Duration SinceBoot();  // CLOCK_BOOTTIME: of all processes, suspend included
  // Waits between two looks at something that tells of no change by itself.
  virtual void Pause(absl::Duration time);
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_SYSCALLS_H_
