// SPDX-License-Identifier: Apache-2.0
#include "daemon/may_signal.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "tests/support/forked.h"

namespace hlbuf {
namespace {

TEST(MaySignalOthers, IsWhatTheKernelSaysToo) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const Forked root([] { ::pause(); });
  EXPECT_TRUE(MaySignalOthers());
  Forked other([&] {
    ASSERT_EQ(::setresuid(12'345, 12'345, 12'345), 0);
    EXPECT_FALSE(MaySignalOthers());
    EXPECT_EQ(::kill(root.pid(), 0), -1);
  });
  other.ExpectToSucceed();
}

// A filter answers getsockopt() as a kernel does that does not know the option.
TEST(KernelVouchesForPeers, IsFalseWhereTheOptionIsUnknown) {
  EXPECT_TRUE(KernelVouchesForPeers()) << "Linux before 6.5?";
  Forked old_kernel([] {
    constexpr std::uint32_t kPeerPidfd = 77;
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockopt, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kPeerPidfd, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter = {.len = std::size(program), .filter = program};
    ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
    EXPECT_FALSE(KernelVouchesForPeers());
  });
  old_kernel.ExpectToSucceed();
}

}  // namespace
}  // namespace hlbuf
