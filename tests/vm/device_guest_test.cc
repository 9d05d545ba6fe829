// SPDX-License-Identifier: Apache-2.0
// The exporters, and what the kernel promises about dma-bufs, on a kernel that has them. Needs
// root.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/dma-buf.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/base/event_loop.h"
#include "daemon/core/error.h"
#include "daemon/device/dma_heap_exporter.h"
#include "daemon/device/make_backends.h"
#include "daemon/device/reference_count.h"
#include "daemon/device/udmabuf_exporter.h"
#include "proto/wire/packet.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMib = 1 << 20;
const Domain kAlice{.uid = 1000, .container = ""};
const Domain kBob{.uid = 1001, .container = ""};

std::uint32_t References(int fd) {
  std::uint32_t count = 0;
  ReferenceCounter().Read({fd}, absl::MakeSpan(&count, 1));
  return count;
}

std::string Fdinfo(int fd) {
  std::ifstream file(absl::StrCat("/proc/self/fdinfo/", fd));
  return {std::istreambuf_iterator<char>(file), {}};
}

// Of drm/drm.h, which not every machine has.
struct PrimeHandle {
  std::uint32_t handle;
  std::uint32_t flags;
  std::int32_t fd;
};
struct GemClose {
  std::uint32_t handle;
  std::uint32_t padding;
};
constexpr unsigned long kPrimeFdToHandle = _IOWR('d', 0x2e, PrimeHandle);
constexpr unsigned long kGemClose = _IOW('d', 0x09, GemClose);

// A shared mapping of a whole buffer.
class Mapping {
 public:
  explicit Mapping(const Allocation& buffer)
      : size_(buffer.size_bytes),
        bytes_(static_cast<char*>(
            mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, buffer.fd.get(), 0))) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { munmap(bytes_, size_); }
  void Fill(char byte) { std::fill_n(bytes_, size_, byte); }
  bool Holds(char byte) const {
    return std::all_of(bytes_, bytes_ + size_, [byte](char b) { return b == byte; });
  }

 private:
  std::uint64_t size_;
  char* bytes_;
};

template <class T>
class RealExporter : public testing::Test {
 protected:
  void SetUp() override { Start({.size_bytes = 16 * kMib, .drills = true}); }
  void Start(const DeviceConfig& config) {
    exporter_ = std::make_unique<T>(config, kernel_);
    const absl::Status opened = exporter_->Open();
    ASSERT_TRUE(opened.ok()) << opened;
  }
  Allocation Make(std::uint64_t size_bytes, const Domain& domain = kAlice) {
    auto made = exporter_->Export({.size_bytes = size_bytes, .domain = domain});
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *std::move(made) : Allocation();
  }
  Syscalls kernel_;
  std::unique_ptr<T> exporter_;
};

using Kinds = testing::Types<UdmabufExporter, DmaHeapExporter>;
TYPED_TEST_SUITE(RealExporter, Kinds);

TYPED_TEST(RealExporter, MakesADmaBufThatPeopleCanRecognise) {
  const Allocation buffer = this->Make(64 * kPage);
  const std::string fdinfo = Fdinfo(buffer.fd.get());
  EXPECT_TRUE(absl::StrContains(fdinfo, "exp_name:\t")) << fdinfo;
  EXPECT_TRUE(absl::StrContains(fdinfo, "name:\thlbuf-")) << fdinfo;
  EXPECT_TRUE(absl::StrContains(fdinfo, absl::StrCat("ino:\t", buffer.inode, "\n"))) << fdinfo;
  EXPECT_TRUE(absl::StrContains(fdinfo, absl::StrCat("size:\t", 64 * kPage, "\n"))) << fdinfo;
  EXPECT_NE(fcntl(buffer.fd.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TYPED_TEST(RealExporter, GivesEachBufferAnIdentityOfItsOwn) {
  const Allocation first = this->Make(kPage);
  const Allocation second = this->Make(kPage);
  EXPECT_NE(first.inode, second.inode);
  EXPECT_NE(first.window, second.window);
}

TYPED_TEST(RealExporter, StartsWithZerosAndOneReference) {
  const Allocation buffer = this->Make(16 * kPage);
  EXPECT_EQ(References(buffer.fd.get()), 1u);
  EXPECT_TRUE(Mapping(buffer).Holds(0));
  EXPECT_EQ(References(buffer.fd.get()), 1u);
}

TYPED_TEST(RealExporter, ShowsDescriptorsMappingsAndUnreadMessages) {
  const Allocation buffer = this->Make(kPage);
  {
    const UniqueFd copy(fcntl(buffer.fd.get(), F_DUPFD_CLOEXEC, 0));
    EXPECT_EQ(References(buffer.fd.get()), 2u);
    const Mapping mapping(buffer);
    EXPECT_EQ(References(buffer.fd.get()), 3u);
  }
  EXPECT_EQ(References(buffer.fd.get()), 1u);

  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const std::byte frame[1] = {};
  ASSERT_TRUE(SendPacket(ours.get(), frame, {buffer.fd.get()}).ok());
  EXPECT_EQ(References(buffer.fd.get()), 2u);
  ours.Reset();
  EXPECT_EQ(References(buffer.fd.get()), 2u) << "the sender cannot take it back";
  theirs.Reset();
  EXPECT_EQ(References(buffer.fd.get()), 1u);
}

TYPED_TEST(RealExporter, LosesTheReferencesOfAProcessThatIsKilled) {
  const Allocation buffer = this->Make(kPage);
  const pid_t child = fork();
  if (child == 0)
    for (;;) pause();
  EXPECT_EQ(References(buffer.fd.get()), 2u);
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_EQ(References(buffer.fd.get()), 1u);
}

TYPED_TEST(RealExporter, CountsRightlyWhateverAHolderDoesToTheFile) {
  const Allocation buffer = this->Make(kPage);
  char name[] = "x\ncount:\t9";
  ASSERT_EQ(ioctl(buffer.fd.get(), DMA_BUF_SET_NAME, name), 0);
  EXPECT_EQ(References(buffer.fd.get()), 1u);
  for (int i = 0; i < 200; ++i) {
    struct flock one_byte = {};
    one_byte.l_type = F_WRLCK;
    one_byte.l_start = 2 * i;
    one_byte.l_len = 1;
    ASSERT_EQ(fcntl(buffer.fd.get(), F_OFD_SETLK, &one_byte), 0) << i;
  }
  ASSERT_GT(Fdinfo(buffer.fd.get()).size(), 4096u);
  EXPECT_EQ(References(buffer.fd.get()), 1u);
}

TYPED_TEST(RealExporter, ShowsThatADriverImportedABuffer) {
  ASSERT_EQ(std::system("modprobe vgem"), 0);
  const UniqueFd card(open("/dev/dri/card0", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(card);
  const Allocation buffer = this->Make(kPage);
  PrimeHandle import = {.handle = 0, .flags = 0, .fd = buffer.fd.get()};
  ASSERT_EQ(ioctl(card.get(), kPrimeFdToHandle, &import), 0);
  EXPECT_GT(References(buffer.fd.get()), 1u);
  GemClose release = {.handle = import.handle, .padding = 0};
  ASSERT_EQ(ioctl(card.get(), kGemClose, &release), 0);
  EXPECT_EQ(References(buffer.fd.get()), 1u);
}

TYPED_TEST(RealExporter, SaysSoWhenThereIsNoDescriptorLeftAndWorksAgainLater) {
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const UniqueFd next_free(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const rlimit none_left = {.rlim_cur = static_cast<rlim_t>(next_free.get()) + 1,
                            .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none_left), 0);
  const absl::Status refused =
      this->exporter_->Export({.size_bytes = kPage, .domain = kAlice}).status();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kDeviceError);
  EXPECT_TRUE(absl::StrContains(refused.message(), "LimitNOFILE=")) << refused;
  this->Make(16 * kMib);
}

TYPED_TEST(RealExporter, KeepsABufferAcrossAResetAndTakesItBackAfterwards) {
  Allocation buffer = this->Make(16 * kMib);
  ASSERT_TRUE(this->exporter_->Reset(Drill::kNone).ok());
  EXPECT_EQ(References(buffer.fd.get()), 1u);
  ASSERT_TRUE(this->exporter_->Open().ok());
  EXPECT_FALSE(this->exporter_->Export({.size_bytes = kPage, .domain = kAlice}).ok());
  ASSERT_TRUE(this->exporter_->Free(std::move(buffer)).ok());
  this->Make(16 * kMib);
}

TYPED_TEST(RealExporter, SaysWhoMayNotOpenTheNode) {
  TypeParam other({.size_bytes = 16 * kMib}, this->kernel_);
  ASSERT_EQ(seteuid(65534), 0);
  const absl::Status refused = other.Open();
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kDeviceUnavailable);
  EXPECT_TRUE(absl::StrContains(refused.message(), ": permission denied (EACCES); add "))
      << refused;
}

TEST(RealDmaHeap, SaysWhichHeapIsMissing) {
  Syscalls kernel;
  DmaHeapExporter exporter({.path = "/dev/dma_heap/none"}, kernel);
  const absl::Status refused = exporter.Open();
  EXPECT_TRUE(absl::StartsWith(refused.message(), "/dev/dma_heap/none: no such file")) << refused;
}

using RealUdmabuf = RealExporter<UdmabufExporter>;

TEST_F(RealUdmabuf, ShowsNobodyWhatWasThereBefore) {
  Allocation alices = Make(16 * kMib);
  Mapping(alices).Fill('a');
  ASSERT_TRUE(exporter_->Free(std::move(alices)).ok());
  EXPECT_TRUE(Mapping(Make(16 * kMib, kBob)).Holds(0));
}

TEST_F(RealUdmabuf, KeepsThoseApartWhoShareAWindowBecauseOneNeverLetGo) {
  Allocation alices = Make(16 * kMib);
  Mapping stale(alices);
  stale.Fill('a');
  ASSERT_TRUE(exporter_->Free(std::move(alices)).ok());

  const Allocation bobs = Make(16 * kMib, kBob);
  Mapping fresh(bobs);
  EXPECT_TRUE(fresh.Holds(0));
  fresh.Fill('b');
  EXPECT_TRUE(stale.Holds('a'));
  stale.Fill('x');
  EXPECT_TRUE(fresh.Holds('b'));
}

TEST_F(RealUdmabuf, ClearsNothingWithoutIsolation) {
  Start({.size_bytes = 16 * kMib, .isolation = "none"});
  Allocation alices = Make(16 * kMib);
  Mapping(alices).Fill('a');
  ASSERT_TRUE(exporter_->Free(std::move(alices)).ok());
  EXPECT_TRUE(Mapping(Make(16 * kMib, kBob)).Holds('a'));
}

TEST_F(RealUdmabuf, MakesBuffersAsLargeAsTheDriverSays) {
  Start({.size_bytes = std::uint64_t{1} << 30});
  std::uint64_t limit_mib = 0;
  std::ifstream("/sys/module/udmabuf/parameters/size_limit_mb") >> limit_mib;
  ASSERT_GT(limit_mib, 0u);
  EXPECT_EQ(exporter_->traits().buffer_bytes_max,
            std::min(limit_mib * kMib, std::uint64_t{1} << 30));
  Make(exporter_->traits().buffer_bytes_max);
}

// The whole of it: worker, loop and device.
TEST(RealBackend, AllocatesCountsAndFreesAThousandBuffers) {
  Syscalls kernel;
  for (const std::string kind : {"udmabuf", "dma-heap"}) {
    auto loop = EventLoop::Create();
    ASSERT_TRUE(loop.ok());
    auto backend = MakeBackend({.name = kind, .kind = kind}, **loop, kernel);
    ASSERT_TRUE(backend.ok());
    std::vector<Allocation> buffers;
    std::vector<std::uint32_t> counts;
    std::size_t freed = 0;
    (*backend)->Open([](absl::Status opened) { EXPECT_TRUE(opened.ok()) << opened; });
    const auto count_all = [&] {
      std::vector<int> fds;
      for (const Allocation& buffer : buffers) fds.push_back(buffer.fd.get());
      (*backend)->CountReferences(fds, [&](std::vector<std::uint32_t> all) {
        counts = std::move(all);
        for (Allocation& buffer : buffers)
          (*backend)->Free(std::move(buffer), [&](absl::Status status) {
            EXPECT_TRUE(status.ok()) << status;
            if (++freed == buffers.size()) (*loop)->Exit();
          });
      });
    };
    for (int i = 0; i < 1000; ++i)
      (*backend)->Allocate({.size_bytes = kPage, .domain = kAlice},
                           [&](absl::StatusOr<Allocation> made) {
                             ASSERT_TRUE(made.ok()) << made.status();
                             buffers.push_back(*std::move(made));
                             if (buffers.size() == 1000) count_all();
                           });
    ASSERT_TRUE((*loop)->Run().ok());
    EXPECT_EQ(counts, std::vector<std::uint32_t>(1000, 1));
    EXPECT_EQ(freed, 1000u);
  }
}

}  // namespace
}  // namespace hlbuf
