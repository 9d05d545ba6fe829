// SPDX-License-Identifier: Apache-2.0
// For host_memory_resume_test.cc and udmabuf_resume_test.cc: exporters whose process is killed.
#ifndef HLBUF_DAEMON_DEVICE_TEST_HOST_MEMORY_RIG_H_
#define HLBUF_DAEMON_DEVICE_TEST_HOST_MEMORY_RIG_H_

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <utility>

#include "daemon/device/fake_keeping.h"
#include "daemon/device/fake_syscalls.h"
#include "daemon/device/udmabuf_exporter.h"

namespace hlbuf {

inline constexpr std::uint64_t kPage = 4096;
inline const Domain kAlice{.uid = 1000, .container = ""};
inline const Domain kBob{.uid = 1001, .container = ""};

struct Kind {
  std::string name;
  std::unique_ptr<Exporter> (*make)(const DeviceConfig&, Syscalls&, Keeping);
  std::size_t own_files = 0;  // that are kept beside its buffers
};
template <class T>
std::unique_ptr<Exporter> Make(const DeviceConfig& config, Syscalls& syscalls, Keeping keeping) {
  return std::make_unique<T>(config, syscalls, std::move(keeping));
}

inline const Kind kUdmabuf{"udmabuf", Make<UdmabufExporter>, 1};

class HostMemoryRig {
 protected:
  void Begin(const Kind& kind, std::uint64_t pages = 16, const std::string& isolation = "cleared") {
    exporter_.reset();
    exporter_ = kind.make(
        {.name = "d", .kind = kind.name, .size_bytes = pages * kPage, .isolation = isolation},
        kernel_, KeptIn(kept_));
  }
  Allocation Export(std::uint64_t pages, const Domain& domain) {
    auto made = exporter_->Export({.size_bytes = pages * kPage, .domain = domain});
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *std::move(made) : Allocation();
  }
  // As the journal has it.
  void Remember(const Allocation& allocation, const Domain& domain) {
    journal_.buffers.push_back({.size_bytes = allocation.size_bytes,
                                .window = allocation.window,
                                .inode = allocation.inode,
                                .domain = domain});
  }
  Resumed Resume() {
    auto resumed = exporter_->Resume(journal_);
    EXPECT_TRUE(resumed.ok()) << resumed.status();
    return resumed.ok() ? *std::move(resumed) : Resumed();
  }
  Allocation FromJournal(std::size_t i, UniqueFd fd) const {
    const Resumption::Buffer& buffer = journal_.buffers[i];
    return {.fd = std::move(fd),
            .size_bytes = buffer.size_bytes,
            .window = buffer.window,
            .inode = buffer.inode};
  }
  static ino_t InodeOf(const UniqueFd& fd) {
    struct stat status = {};
    EXPECT_EQ(::fstat(fd.get(), &status), 0);
    return status.st_ino;
  }

  FakeSyscalls kernel_;
  KeptFiles kept_;
  Resumption journal_;
  std::unique_ptr<Exporter> exporter_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_TEST_HOST_MEMORY_RIG_H_
