// SPDX-License-Identifier: Apache-2.0
// KeptCopies when the owner of a descriptor closes it at a bad moment; the rest is in
// habanalabs_opener_test.cc.
#include "daemon/device/kept_copies.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <utility>

namespace hlbuf {
namespace {

ino_t InodeOf(int fd) {
  Syscalls syscalls;
  ino_t inode = 0;
  EXPECT_EQ(syscalls.Inode(fd, &inode), 0);
  return inode;
}

UniqueFd NewFile() { return UniqueFd(::memfd_create("file", MFD_CLOEXEC)); }

// Runs `then` once a file was looked at, as another thread may.
class Interfering final : public Syscalls {
 public:
  int Inode(int fd, ino_t* inode) override {
    const int result = Syscalls::Inode(fd, inode);
    if (then) std::exchange(then, nullptr)();
    return result;
  }
  std::function<void()> then;
};

class Recording final : public DeviceOpener {
 public:
  absl::StatusOr<UniqueFd> Open(const std::string&) override { return UniqueFd(); }
  absl::Status Keep(std::uint64_t id, int fd) override {
    sent[id] = InodeOf(fd);
    return absl::OkStatus();
  }
  absl::Status Drop(absl::Span<const std::uint64_t>) override { return absl::OkStatus(); }
  std::map<std::uint64_t, ino_t> sent;
};

TEST(KeptCopies, SendsTheFileThatItLookedAtThoughItsNumberIsAnothersByThen) {
  Interfering syscalls;
  Recording opener;
  KeptCopies copies(syscalls, opener);
  const UniqueFd file = NewFile();
  const ino_t inode = InodeOf(file.get());
  ASSERT_TRUE(copies.Keep(file.get(), inode).ok());
  opener.sent.clear();
  const UniqueFd other = NewFile();
  syscalls.then = [&] { ASSERT_EQ(::dup3(other.get(), file.get(), O_CLOEXEC), file.get()); };
  EXPECT_TRUE(copies.KeepAgain().ok());
  EXPECT_EQ(opener.sent, (std::map<std::uint64_t, ino_t>{{inode, inode}}));
}

TEST(KeptCopies, SendsNothingForANumberThatIsClosed) {
  Syscalls syscalls;
  Recording opener;
  KeptCopies copies(syscalls, opener);
  UniqueFd file = NewFile();
  ASSERT_TRUE(copies.Keep(file.get(), InodeOf(file.get())).ok());
  opener.sent.clear();
  file.Reset();
  EXPECT_TRUE(copies.KeepAgain().ok());
  EXPECT_TRUE(opener.sent.empty());
}

}  // namespace
}  // namespace hlbuf
