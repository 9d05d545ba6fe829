// SPDX-License-Identifier: Apache-2.0
#include "tests/support/child.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace hlbuf {
namespace {

constexpr int kChannel = 3;

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

bool BecomeUser(uid_t uid, gid_t gid) {
  return ::setgroups(1, &gid) == 0 && ::setresgid(gid, gid, gid) == 0 &&
         ::setresuid(uid, uid, uid) == 0;
}

// Between fork() and exec(): nothing here takes a lock or memory.
[[noreturn]] void Become(const Program& program, int executable, int output, pid_t parent,
                         char** arguments, char** environment) {
  if (program.uid.has_value() && !BecomeUser(*program.uid, program.gid)) ::_exit(127);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a change of user clears it
  if (::getppid() != parent) ::_exit(127);
  if (output >= 0) {
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
  }
  if (program.channel == kChannel)
    ::fcntl(kChannel, F_SETFD, 0);
  else if (program.channel >= 0)
    ::dup2(program.channel, kChannel);
  // What this process inherited itself is no business of the program's.
  ::close_range(program.channel >= 0 ? kChannel + 1 : kChannel, ~0U, CLOSE_RANGE_CLOEXEC);
  if (program.nofile.has_value()) ::setrlimit(RLIMIT_NOFILE, &*program.nofile);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // By its descriptor: its user may not be able to enter the directories above it.
  ::syscall(SYS_execveat, executable, "", arguments, environment, AT_EMPTY_PATH);
  ::_exit(127);
}

// Above the numbers that a program finds its own at.
UniqueFd OpenExecutable(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_PATH | O_CLOEXEC));
  EXPECT_TRUE(file) << path << ": " << std::strerror(errno);
  return UniqueFd(::fcntl(file.get(), F_DUPFD_CLOEXEC, kChannel + 1));
}

bool Exited(int pidfd, int ms) {
  pollfd p = {.fd = pidfd, .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, ms) > 0;
}

}  // namespace

Child::Child(const Program& program) {
  UniqueFd output;
  if (!program.output.empty()) {
    output =
        UniqueFd(::open(program.output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    EXPECT_TRUE(output) << program.output << ": " << std::strerror(errno);
  }
  std::vector<std::string> arguments = program.arguments;
  std::vector<std::string> environment = program.environment;
  for (char** variable = environ; *variable != nullptr; ++variable)
    environment.emplace_back(*variable);
  std::vector<char*> argument_pointers = Pointers(arguments);
  std::vector<char*> environment_pointers = Pointers(environment);
  const UniqueFd executable = OpenExecutable(arguments[0]);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0)
    Become(program, executable.get(), output.get(), parent, argument_pointers.data(),
           environment_pointers.data());
  EXPECT_GT(pid_, 0) << "fork: " << std::strerror(errno);
  pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
}

Child::~Child() {
  if (pid_ <= 0 || status_.has_value()) return;
  Signal(SIGKILL);
  static_cast<void>(Wait());
}

void Child::Signal(int signal) const {
  if (!status_.has_value()) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0);
}

std::optional<int> Child::Wait(int ms) {
  if (status_.has_value()) return status_;
  if (!Exited(pidfd_.get(), ms)) return std::nullopt;
  int status = 0;
  EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
  status_ = status;
  return status_;
}

int Child::ExitStatus() {
  const std::optional<int> status = Wait();
  return status.has_value() && WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
}

bool Child::RunsFor(int ms) const { return !status_.has_value() && !Exited(pidfd_.get(), ms); }

Finished RunToEnd(const Program& program) {
  Child child(program);
  const int exit_status = child.ExitStatus();
  return {.exit_status = exit_status, .output = ReadAll(program.output)};
}

bool Eventually(const std::function<bool()>& is, int ms) {
  constexpr int kPauseMs = 2;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  while (!is()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    ::poll(nullptr, 0, kPauseMs);
  }
  return true;
}

std::size_t CountDescriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count - 1;  // the directory itself
}

TemporaryDirectory::TemporaryDirectory() {
  const char* base = std::getenv("TMPDIR");
  path_ = std::string(base != nullptr ? base : "/tmp") + "/hlbuf-XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr || ::chmod(path_.c_str(), 0755) != 0)
    ADD_FAILURE() << path_ << ": " << std::strerror(errno);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string BuiltPath(const std::string& relative) {
  const char* directory = std::getenv("HLBUF_BUILD_DIR");
  EXPECT_NE(directory, nullptr) << "HLBUF_BUILD_DIR is not set; run the tests by ctest";
  return std::string(directory != nullptr ? directory : ".") + "/" + relative;
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace hlbuf
