// SPDX-License-Identifier: Apache-2.0
// Real dma-bufs over the death of the process that exported them, in a keeper of host memory.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/device/dma_heap_exporter.h"
#include "daemon/device/keeper_opener.h"
#include "daemon/device/reference_count.h"
#include "daemon/device/udmabuf_exporter.h"
#include "tests/support/child.h"
#include "tests/support/forked.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kBuffers = 300;  // more than one message brings
const Domain kAlice{.uid = 1000, .container = ""};
const Domain kBob{.uid = 1001, .container = ""};

struct Kind {
  const char* name;
  std::unique_ptr<Exporter> (*make)(const DeviceConfig&, Syscalls&, Keeping);
};
template <class T>
std::unique_ptr<Exporter> Make(const DeviceConfig& config, Syscalls& syscalls, Keeping keeping) {
  return std::make_unique<T>(config, syscalls, std::move(keeping));
}

class KeptDmaBufs : public testing::TestWithParam<Kind> {
 protected:
  struct Exported {
    int fd;  // a number of the service
    std::uint64_t window;
    ino_t inode;
  };

  std::unique_ptr<Exporter> MakeExporter() {
    return GetParam().make({.name = "d", .kind = GetParam().name, .size_bytes = 512 * kPage},
                           syscalls_, {.opener = std::make_unique<KeeperOpener>("d", keepers_)});
  }
  // Runs in a process of its own until that is killed.
  void Serve(Gate& exported) {
    const auto exporter = MakeExporter();
    const absl::Status opened = exporter->Open();
    EXPECT_TRUE(opened.ok()) << opened;
    std::vector<Allocation> all;
    for (std::size_t i = 0; i < kBuffers; ++i) {
      auto made = exporter->Export({.size_bytes = kPage, .domain = kAlice});
      ASSERT_TRUE(made.ok()) << made.status();
      WithMapping(made->fd.get(), [&](char* bytes) { std::memcpy(bytes, &i, sizeof(i)); });
      journal_[i] = {.fd = made->fd.get(), .window = made->window, .inode = made->inode};
      all.push_back(*std::move(made));
    }
    exported.Open();
    ::pause();
  }
  // A descriptor of the service's, as a client gets one.
  static UniqueFd Obtain(pid_t service, int fd) {
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, service, 0)));
    return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), fd, 0)));
  }
  Resumption Journal() const {
    Resumption from;
    for (std::size_t i = 0; i < kBuffers; ++i)
      from.buffers.push_back({.size_bytes = kPage,
                              .window = journal_[i].window,
                              .inode = journal_[i].inode,
                              .domain = kAlice});
    return from;
  }
  static void WithMapping(int fd, const std::function<void(char*)>& use) {
    void* const bytes = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ASSERT_NE(bytes, MAP_FAILED);
    use(static_cast<char*>(bytes));
    ::munmap(bytes, kPage);
  }
  static std::uint32_t Count(const UniqueFd& fd) {
    std::uint32_t count = 0;
    const int number = fd.get();
    ReferenceCounter().Read({&number, 1}, {&count, 1});
    return count;
  }

  TemporaryDirectory directory_;
  Syscalls syscalls_;
  SpawnedKeepers keepers_ =
      SpawnedKeepers(BuiltPath("daemon/hl-bufd-keeper"), directory_.path() + "/keepers");
  // Shared with the service.
  Exported* const journal_ =
      static_cast<Exported*>(::mmap(nullptr, kBuffers * sizeof(Exported), PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0));
};

TEST_P(KeptDmaBufs, AreTheSameAfterwardsAndProvenOnlyWithoutTheKeepersCopyAndTheHolders) {
  Gate exported;
  Forked service([&] { Serve(exported); });
  ASSERT_TRUE(exported.Pass());
  UniqueFd held = Obtain(service.pid(), journal_[1].fd);
  ASSERT_TRUE(held);
  service.Kill();

  const auto exporter = MakeExporter();
  auto resumed = exporter->Resume(Journal());
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_EQ(resumed->lost, "");
  for (std::size_t i = 0; i < kBuffers; ++i) {
    WithMapping(resumed->fds[i].get(),
                [&](char* bytes) { EXPECT_EQ(std::memcmp(bytes, &i, sizeof(i)), 0) << i; });
    EXPECT_EQ(Count(resumed->fds[i]), i == 1 ? 3u : 2u) << "ours, the keeper's, and a holder's";
  }

  const UniqueFd& free = resumed->fds[0];
  exporter->DropCopies({free.get()});
  EXPECT_EQ(Count(free), 1u);
  const UniqueFd& out = resumed->fds[1];
  exporter->DropCopies({out.get()});
  EXPECT_EQ(Count(out), 2u);
  exporter->KeepCopies({out.get()});
  EXPECT_TRUE(Eventually([&] { return Count(out) == 3u; })) << "one more while it is being read";
  held.Reset();
  exporter->DropCopies({out.get()});
  EXPECT_EQ(Count(out), 1u);
}

// 300 of 512 pages are out, and stay with their domain, though one was lost.
TEST_P(KeptDmaBufs, ShareNoPageWithWhatIsExportedAfterwards) {
  Gate exported;
  Forked service([&] { Serve(exported); });
  ASSERT_TRUE(exported.Pass());
  const UniqueFd held = Obtain(service.pid(), journal_[7].fd);
  service.Kill();
  Resumption from = Journal();
  from.buffers[7].inode = ~ino_t{0} >> 1;  // nobody kept it
  const auto exporter = MakeExporter();
  auto resumed = exporter->Resume(from);
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_NE(resumed->lost, "");
  EXPECT_TRUE(
      exporter->Free({.fd = {}, .size_bytes = kPage, .window = from.buffers[7].window}).ok());

  std::vector<Allocation> bobs;
  for (std::size_t i = 0; i < 512 - kBuffers + 1; ++i) {
    auto made = exporter->Export({.size_bytes = kPage, .domain = kBob});
    ASSERT_TRUE(made.ok()) << made.status();
    WithMapping(made->fd.get(), [&](char* bytes) {
      EXPECT_EQ(std::string(bytes, kPage), std::string(kPage, '\0')) << i;
      std::memset(bytes, 'b', kPage);
    });
    bobs.push_back(*std::move(made));
  }
  EXPECT_FALSE(exporter->Export({.size_bytes = kPage, .domain = kBob}).ok());
  const std::size_t seven = 7;
  WithMapping(held.get(), [&](char* bytes) {
    EXPECT_EQ(std::memcmp(bytes, &seven, sizeof(seven)), 0) << "its old pages";
  });
}

INSTANTIATE_TEST_SUITE_P(Kinds, KeptDmaBufs,
                         testing::Values(Kind{"udmabuf", Make<UdmabufExporter>},
                                         Kind{"dma-heap", Make<DmaHeapExporter>}),
                         [](const auto& kind) {
                           return std::string(kind.param.name) == "udmabuf" ? "Udmabuf" : "DmaHeap";
                         });

}  // namespace
}  // namespace hlbuf
