// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/peer_signal.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "proto/wire/unique_fd.h"
#include "tests/support/forked.h"

namespace hlbuf {
namespace {

UniqueFd PidfdOf(const Forked& process) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid(), 0)));
}

// The signal that ended a child, which stays to be reaped; 0: none did.
int EndedBy(const Forked& process) {
  siginfo_t info = {};
  EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(process.pid()), &info, WEXITED | WNOWAIT), 0);
  return info.si_code == CLD_KILLED ? info.si_status : 0;
}

TEST(SignalProcess, SendsTheSignalOfTheName) {
  for (const auto& [force, signal] :
       {std::pair(Force::kTerminate, SIGTERM), std::pair(Force::kKill, SIGKILL)}) {
    const Forked process([] { ::pause(); });
    EXPECT_TRUE(SignalProcess(PidfdOf(process).get(), force).ok());
    EXPECT_EQ(EndedBy(process), signal);
  }
}

TEST(SignalProcess, EndsAStoppedProcess) {
  const Forked process([] { ::pause(); });
  const UniqueFd pidfd = PidfdOf(process);
  ASSERT_EQ(::kill(process.pid(), SIGSTOP), 0);
  EXPECT_TRUE(SignalProcess(pidfd.get(), Force::kKill).ok());
  EXPECT_EQ(EndedBy(process), SIGKILL);
}

TEST(SignalProcess, SaysThatAProcessHasExited) {
  Forked process([] { ::pause(); });
  const UniqueFd pidfd = PidfdOf(process);
  process.Kill();
  const absl::Status status = SignalProcess(pidfd.get(), Force::kTerminate);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
}

TEST(SignalProcess, SaysWhatIsMissingForAnotherUsersProcess) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const Forked process([] { ::pause(); });
  const UniqueFd pidfd = PidfdOf(process);
  Forked unprivileged([&] {
    ASSERT_EQ(::setresuid(12'345, 12'345, 12'345), 0);
    const absl::Status status = SignalProcess(pidfd.get(), Force::kKill);
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
    EXPECT_NE(status.message().find("give the service CAP_KILL"), absl::string_view::npos);
  });
  unprivileged.ExpectToSucceed();
}

TEST(SignalProcess, FailsForWhatIsNoProcess) {
  EXPECT_FALSE(SignalProcess(STDERR_FILENO, Force::kKill).ok());
}

}  // namespace
}  // namespace hlbuf
