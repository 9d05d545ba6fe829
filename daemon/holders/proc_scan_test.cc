// SPDX-License-Identifier: Apache-2.0
// The scan, and the program around it, on real processes that hold memfds.
#include "daemon/holders/proc_scan.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <functional>
#include <thread>

#include "daemon/holders/holders_wire.h"
#include "proto/wire/unique_fd.h"
#include "tests/support/child.h"
#include "tests/support/forked.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::size_t kBytes = 4096;

// A memfd that only this process has.
struct Memfd {
  Memfd() : fd(::memfd_create("held", MFD_CLOEXEC)) {
    EXPECT_EQ(::ftruncate(fd.get(), kBytes), 0);
    struct stat is = {};
    EXPECT_EQ(::fstat(fd.get(), &is), 0);
    file = {.kind = HeldFile::Kind::kMemfd, .inode = is.st_ino};
  }
  UniqueFd fd;
  HeldFile file;
};

HoldersAnswer Scan(const HeldFile& file) {
  ProcScan scan({file}, ProcScan::Clock::now() + std::chrono::seconds(20));
  EXPECT_TRUE(scan.LookAtProcesses());
  return std::move(scan).Take();
}

const HoldingProcess* Find(const HoldersAnswer& answer, pid_t pid) {
  const auto& processes = answer.files.at(0).processes;
  const auto found = std::find_if(processes.begin(), processes.end(),
                                  [pid](const HoldingProcess& p) { return p.pid == pid; });
  return found == processes.end() ? nullptr : &*found;
}

// What a scan says of a process that has done `body` and then waits.
HoldingProcess SeenOf(const HeldFile& file, const std::function<void()>& body) {
  Gate done;
  Gate never;
  const Forked holder([&] {
    body();
    done.Open();
    never.Pass();
  });
  EXPECT_TRUE(done.Pass());
  const HoldersAnswer answer = Scan(file);
  const HoldingProcess* const found = Find(answer, holder.pid());
  return found == nullptr ? HoldingProcess() : *found;
}

TEST(ProcScan, NamesWhoHasADescriptor) {
  const Memfd memfd;
  const HoldersAnswer answer = Scan(memfd.file);
  const HoldingProcess* const self = Find(answer, ::getpid());
  ASSERT_NE(self, nullptr);
  EXPECT_EQ(answer.files.at(0).processes.size(), 1u);
  EXPECT_EQ(self->descriptors, 1u);
  EXPECT_EQ(self->mappings, 0u);
  EXPECT_EQ(self->uid, ::geteuid());
  EXPECT_EQ(self->parent, ::getppid());
  EXPECT_GT(self->start_ticks, 0u);
  EXPECT_EQ(self->command, std::string("holders_scan_te")) << "15 bytes are all there is";
  EXPECT_TRUE(answer.scope.whole);
  EXPECT_GT(answer.scope.processes, 0u);
}

TEST(ProcScan, CountsTheDescriptorsOfAForkApart) {
  const Memfd memfd;
  const HoldingProcess seen =
      SeenOf(memfd.file, [&] { EXPECT_GE(::fcntl(memfd.fd.get(), F_DUPFD_CLOEXEC, 0), 0); });
  EXPECT_EQ(seen.descriptors, 2u);
  EXPECT_EQ(seen.parent, ::getpid());
}

TEST(ProcScan, FindsAMappingWhoseDescriptorIsClosed) {
  Memfd memfd;
  const HoldingProcess seen = SeenOf(memfd.file, [&] {
    EXPECT_NE(::mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, memfd.fd.get(), 0), MAP_FAILED);
    memfd.fd.Reset();
  });
  EXPECT_EQ(seen.descriptors, 0u);
  EXPECT_EQ(seen.mappings, 1u);
}

TEST(ProcScan, CountsOnceWhatThreadsShare) {
  Gate done;
  const Memfd memfd;
  std::thread thread([&] { done.Pass(); });
  const HoldersAnswer answer = Scan(memfd.file);
  EXPECT_EQ(Find(answer, ::getpid())->descriptors, 1u);
  done.Open();
  thread.join();
}

// A thread can have a table of its own, which /proc/PID/fd does not show.
TEST(ProcScan, FindsWhatAThreadHasForItselfAlone) {
  Memfd memfd;
  const HoldingProcess seen = SeenOf(memfd.file, [&] {
    Gate unshared;
    std::thread([&] {
      EXPECT_EQ(::unshare(CLONE_FILES), 0);
      unshared.Open();
      ::pause();
    }).detach();
    unshared.Pass();
    memfd.fd.Reset();
  });
  EXPECT_EQ(seen.descriptors, 1u);
}

TEST(ProcScan, FindsAProcessWhoseFirstThreadHasEnded) {
  const Memfd memfd;
  Gate done;
  const Forked holder([&] {
    EXPECT_NE(::mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, memfd.fd.get(), 0), MAP_FAILED);
    std::thread([&] {
      const std::string stat = "/proc/" + std::to_string(::getpid()) + "/stat";
      EXPECT_TRUE(Eventually([&] { return ReadAll(stat).find(") Z ") != std::string::npos; }));
      done.Open();
      ::pause();
    }).detach();
    ::syscall(SYS_exit, 0);  // of this thread alone
  });
  ASSERT_TRUE(done.Pass());
  const HoldersAnswer answer = Scan(memfd.file);
  ASSERT_NE(Find(answer, holder.pid()), nullptr);
  EXPECT_EQ(Find(answer, holder.pid())->descriptors, 1u);
  EXPECT_EQ(Find(answer, holder.pid())->mappings, 1u);
}

// Inodes are numbers of a file system: a dma-buf of the same number is another file.
TEST(ProcScan, TakesNoOtherFileOfThatInode) {
  const Memfd memfd;
  const HoldersAnswer answer = Scan({.kind = HeldFile::Kind::kDmabuf, .inode = memfd.file.inode});
  EXPECT_TRUE(answer.files.at(0).processes.empty());
}

// Anybody can give a file the name of a dma-buf, and as long as no dma-buf has been seen its file
// system is not known to be another.
TEST(ProcScan, TakesNoFileForADmabufThatIsCalledLikeOne) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounts: needs root";
  const TemporaryDirectory directory;
  Forked([&] {
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const std::string root = directory.path();
    ASSERT_EQ(::mount("held", root.c_str(), "tmpfs", 0, nullptr), 0);
    ASSERT_EQ(::mkdir((root + "/proc").c_str(), 0755), 0);
    ASSERT_EQ(::mount("/proc", (root + "/proc").c_str(), nullptr, MS_BIND | MS_REC, nullptr), 0);
    ASSERT_EQ(::chroot(root.c_str()), 0);
    const UniqueFd fd(::open("/dmabuf:x", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    struct stat is = {};
    ASSERT_EQ(::fstat(fd.get(), &is), 0);
    const HoldersAnswer answer = Scan({.kind = HeldFile::Kind::kDmabuf, .inode = is.st_ino});
    EXPECT_EQ(Find(answer, ::getpid()), nullptr);
  }).ExpectToSucceed();
}

TEST(ProcScan, EndsWhenItsTimeIsOver) {
  const Memfd memfd;
  ProcScan scan({memfd.file}, ProcScan::Clock::now());
  EXPECT_TRUE(scan.LookAtProcesses());
  EXPECT_FALSE(std::move(scan).Take().scope.whole);
}

TEST(ProcScan, SaysThatDebugfsCouldNotBeRead) {
  ProcScan scan({}, ProcScan::Clock::now());
  scan.LookAtBufinfo("/nonexistent/bufinfo");
  EXPECT_EQ(std::move(scan).Take().scope.bufinfo_errno, ENOENT);
}

TEST(ProcScan, ReadsDebugfsOnlyAsLongAsThereIsTime) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/bufinfo";
  std::ofstream(path) << "00004096\t00000002\t00080007\t00000004\tudmabuf\t00000012\tx\n"
                         "\tAttached Devices:\n\tmlx5_0\nTotal 1 devices attached\n";
  const auto look = [&path](ProcScan::Clock::time_point deadline) {
    ProcScan scan({{.inode = 12}, {.kind = HeldFile::Kind::kMemfd, .inode = 12}}, deadline);
    scan.LookAtBufinfo(path);
    return std::move(scan).Take();
  };
  const HoldersAnswer seen = look(ProcScan::Clock::now() + std::chrono::seconds(20));
  EXPECT_EQ(seen.scope.bufinfo_errno, 0);
  EXPECT_EQ(seen.files.at(0).count, 4u);
  EXPECT_EQ(seen.files.at(0).importers, std::vector<std::string>{"mlx5_0"});
  EXPECT_EQ(seen.files.at(1).count, std::nullopt);
  const HoldersAnswer late = look(ProcScan::Clock::now());
  EXPECT_EQ(late.scope.bufinfo_errno, ETIMEDOUT);
  EXPECT_TRUE(late.files.at(0).importers.empty());
}

TEST(ProcScan, SaysWhatItMayNotRead) {
  if (::geteuid() != 0) GTEST_SKIP() << "becomes another user: needs root";
  const Memfd memfd;
  Gate never;
  const Forked hidden([&] { never.Pass(); });  // root's
  Forked([&] {
    ASSERT_EQ(::setresuid(64'000, 64'000, 64'000), 0);
    const HoldersAnswer answer = Scan(memfd.file);
    EXPECT_GT(answer.scope.fd_unreadable, 0u);
    EXPECT_GT(answer.scope.maps_unreadable, 0u);
    EXPECT_EQ(Find(answer, hidden.pid()), nullptr);
  }).ExpectToSucceed();
}

TEST(ProcScan, SaysThatThereCanBeProcessesWhichAreNotShown) {
  const auto hidden = [] { return Scan(Memfd().file).scope.hidden; };
  struct stat here = {};
  ASSERT_EQ(::stat("/proc/self/ns/pid", &here), 0);
  if (here.st_ino != 4026531836) {
    EXPECT_TRUE(hidden());
    GTEST_SKIP() << "all is seen from the first pid namespace alone";
  }
  if (::geteuid() != 0) GTEST_SKIP() << "mounts /proc: needs root";
  Forked([&] {
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    EXPECT_FALSE(hidden());
    ASSERT_EQ(::mount("proc", "/proc", "proc", 0, "hidepid=2"), 0);
    EXPECT_FALSE(hidden()) << "root sees all the same";
    ASSERT_EQ(::setresuid(64'000, 64'000, 64'000), 0);
    EXPECT_TRUE(hidden());
  }).ExpectToSucceed();
  Forked([&] {
    ASSERT_EQ(::unshare(CLONE_NEWPID), 0);
    Forked([&] { EXPECT_TRUE(hidden()); }).ExpectToSucceed();
  }).ExpectToSucceed();
}

// What the program answers to `question` on a socket, and what it ends with.
Finished Ask(const std::string& question, bool shut_down = false) {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDOUT_FILENO);
  std::string path = BuiltPath("daemon/hl-bufd-holders");
  char* arguments[] = {path.data(), nullptr};
  pid_t pid = -1;
  EXPECT_EQ(::posix_spawn(&pid, path.c_str(), &actions, nullptr, arguments, environ), 0);
  ::posix_spawn_file_actions_destroy(&actions);
  theirs.Reset();
  EXPECT_EQ(::send(ours.get(), question.data(), question.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(question.size()));
  if (shut_down) ::shutdown(ours.get(), SHUT_WR);
  Finished finished;
  char chunk[4096];
  for (ssize_t n; (n = ::read(ours.get(), chunk, sizeof(chunk))) > 0;)
    finished.output.append(chunk, static_cast<std::size_t>(n));
  int status = -1;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  finished.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return finished;
}

TEST(HoldersProgram, AnswersOnItsConnectionAndKnowsWhoAsked) {
  const Memfd memfd;
  const Finished answered = Ask(FormatQuestion({memfd.file}));
  EXPECT_EQ(answered.exit_status, HLBUF_HOLDERS_EXIT_ANSWERED);
  const auto answer = ParseAnswer(answered.output);
  ASSERT_TRUE(answer.has_value()) << answered.output;
  ASSERT_NE(Find(*answer, ::getpid()), nullptr);
  EXPECT_EQ(Find(*answer, ::getpid())->descriptors, 1u);
  EXPECT_EQ(answer->scope.asker, ::getpid());
  struct stat here = {};
  ASSERT_EQ(::stat("/proc/self/ns/pid", &here), 0);
  EXPECT_EQ(answer->scope.pid_namespace, here.st_ino);
}

TEST(HoldersProgram, AnswersNothingToWhatIsNoQuestion) {
  for (const std::string& text : {std::string("GET / HTTP/1.1\r\n"),
                                  std::string("hl-bufd-holders 9\nend\n"), std::string()}) {
    const Finished refused = Ask(text, /*shut_down=*/true);
    EXPECT_EQ(refused.exit_status, HLBUF_HOLDERS_EXIT_NO_QUESTION) << text;
    EXPECT_EQ(refused.output, "");
  }
  EXPECT_EQ(Ask(std::string(HLBUF_HOLDERS_QUESTION_BYTES_MAX / 2, 'x'), true).exit_status,
            HLBUF_HOLDERS_EXIT_NO_QUESTION);
}

TEST(HoldersProgram, ExplainsItselfAndRefusesOptionsItDoesNotKnow) {
  const TemporaryDirectory directory;
  const auto run = [&](const std::string& option) {
    return RunToEnd({.arguments = {BuiltPath("daemon/hl-bufd-holders"), option},
                     .output = directory.path() + "/output"});
  };
  EXPECT_TRUE(Contains(run("--help").output, "Exit status"));
  EXPECT_EQ(run("--help").exit_status, HLBUF_HOLDERS_EXIT_ANSWERED);
  EXPECT_EQ(run("--version").exit_status, HLBUF_HOLDERS_EXIT_ANSWERED);
  const Finished refused = run("--kill");
  EXPECT_EQ(refused.exit_status, HLBUF_HOLDERS_EXIT_BAD_USAGE);
  EXPECT_TRUE(Contains(refused.output, "no such option: --kill"));
}

// As a program that is sent SIGALRM when its time is over, and was started with that ignored.
TEST(HoldersProgram, SaysThatItsTimeIsOver) {
  const TemporaryDirectory directory;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const UniqueFd said(
      ::open((directory.path() + "/said").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  std::string path = BuiltPath("daemon/hl-bufd-holders");
  const pid_t pid = ::fork();
  if (pid == 0) {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    std::signal(SIGALRM, SIG_IGN);
    ::dup2(theirs.get(), STDIN_FILENO);
    ::dup2(theirs.get(), STDOUT_FILENO);
    ::dup2(said.get(), STDERR_FILENO);
    ::execl(path.c_str(), path.c_str(), nullptr);
    ::_exit(127);
  }
  theirs.Reset();
  // It waits for a question once its alarm is set.
  const std::string itself = "/proc/" + std::to_string(pid);
  ASSERT_TRUE(Eventually([&] {
    const std::string status = ReadAll(itself + "/status");
    const std::size_t caught = status.find("SigCgt:\t");
    return ReadAll(itself + "/comm") == "hl-bufd-holders\n" && caught != std::string::npos &&
           (std::stoull(status.substr(caught + 8), nullptr, 16) >> (SIGALRM - 1) & 1) != 0;
  }));
  EXPECT_EQ(::kill(pid, SIGALRM), 0);
  int status = -1;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, HLBUF_HOLDERS_EXIT_FAILED);
  EXPECT_TRUE(Contains(ReadAll(directory.path() + "/said"), "time is over"));
}

}  // namespace
}  // namespace hlbuf
