// SPDX-License-Identifier: Apache-2.0
#include "daemon/persist/shared_epoch_page.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

namespace hlbuf {
namespace {

constexpr std::uint32_t kFirst = EpochPage::kFirstSlot;

UniqueFd Copy(int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

// As a client has it.
class View {
 public:
  explicit View(int fd) {
    struct stat stat = {};
    EXPECT_EQ(::fstat(fd, &stat), 0);
    bytes_ = static_cast<std::size_t>(stat.st_size);
    mapping_ = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, fd, 0);
    EXPECT_NE(mapping_, MAP_FAILED);
  }
  ~View() { ::munmap(mapping_, bytes_); }
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  std::uint64_t At(std::uint32_t slot) const {
    return static_cast<const volatile std::uint64_t*>(mapping_)[slot];
  }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_ = 0;
  void* mapping_ = nullptr;
};

TEST(SharedEpochPage, HasNoSlotsUntilItIsThere) {
  const SharedEpochPage page;
  EXPECT_EQ(page.end(), 0U);
  EXPECT_EQ(page.read_only(), -1);
}

TEST(SharedEpochPage, IsSeenByWhoeverMapsIt) {
  SharedEpochPage page;
  ASSERT_TRUE(page.Create(100).ok());
  ASSERT_GE(page.end(), kFirst + 100);
  const View view(page.read_only());
  EXPECT_EQ(view.bytes(), page.end() * sizeof(std::uint64_t));
  EXPECT_EQ(view.bytes() % 4096, 0U);
  EXPECT_EQ(view.At(0), EpochPage::kMagic);
  EXPECT_EQ(view.At(kFirst), 0U);
  page.Store(kFirst, 77);
  EXPECT_EQ(view.At(kFirst), 77U);
}

TEST(SharedEpochPage, CannotBeWrittenByWhoeverWasHandedIt) {
  SharedEpochPage page;
  ASSERT_TRUE(page.Create(100).ok());
  const int fd = page.read_only();
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
  EXPECT_EQ(errno, EACCES);
  EXPECT_EQ(::write(fd, "x", 1), -1);
  EXPECT_NE(::ftruncate(fd, 0), 0);
  EXPECT_NE(::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
  struct stat stat = {};
  ASSERT_EQ(::fstat(fd, &stat), 0);
  EXPECT_EQ(stat.st_mode & 07777, 0400U);
}

TEST(SharedEpochPage, KeepsItsSizeWhoeverWritesIt) {
  SharedEpochPage page;
  ASSERT_TRUE(page.Create(100).ok());
  const UniqueFd memory = page.TakeMemory();
  EXPECT_NE(::ftruncate(memory.get(), 0), 0);
  EXPECT_NE(::ftruncate(memory.get(), 1 << 20), 0);
  EXPECT_NE(::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0)
      << "the next process could not write it";
}

TEST(SharedEpochPage, IsGoneOnWithByTheNextProcess) {
  UniqueFd memory, client;
  {
    SharedEpochPage page;
    ASSERT_TRUE(page.Create(100).ok());
    page.Store(kFirst + 1, 77);
    client = Copy(page.read_only());
    memory = page.TakeMemory();
  }
  const View view(client.get());
  SharedEpochPage next;
  ASSERT_TRUE(next.Adopt(std::move(memory), 100).ok());
  EXPECT_EQ(view.At(kFirst + 1), 77U);
  next.Store(kFirst + 1, 0);
  EXPECT_EQ(view.At(kFirst + 1), 0U);
}

TEST(SharedEpochPage, ThatIsTooSmallSaysThatNothingIsCurrent) {
  SharedEpochPage page;
  ASSERT_TRUE(page.Create(100).ok());
  page.Store(kFirst + 1, 77);
  const View view(page.read_only());
  SharedEpochPage next;
  EXPECT_TRUE(absl::IsFailedPrecondition(next.Adopt(page.TakeMemory(), 10'000)));
  EXPECT_EQ(next.end(), 0U);
  EXPECT_EQ(view.At(kFirst + 1), 0U);
  EXPECT_TRUE(next.Create(10'000).ok());
}

TEST(SharedEpochPage, IsNotMadeOfAnythingElse) {
  SharedEpochPage page;
  UniqueFd unsealed(::memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(unsealed.get(), 4096), 0);
  ASSERT_EQ(::fchmod(unsealed.get(), 0400), 0);
  UniqueFd open_to_all(::memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(open_to_all.get(), 4096), 0);
  ASSERT_EQ(::fcntl(open_to_all.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
  UniqueFd odd(::memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(odd.get(), 4097), 0);
  ASSERT_EQ(::fchmod(odd.get(), 0400), 0);
  ASSERT_EQ(::fcntl(odd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
  UniqueFd device(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (UniqueFd* fd : {&unsealed, &open_to_all, &odd, &device}) {
    EXPECT_TRUE(absl::IsDataLoss(page.Adopt(std::move(*fd), 10)));
    EXPECT_EQ(page.end(), 0U);
  }
}

}  // namespace
}  // namespace hlbuf
