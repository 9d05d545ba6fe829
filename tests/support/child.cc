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

#include <algorithm>
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

// What a program gets, made before fork(), since nothing may take memory between that and exec().
struct Inheritance {
  UniqueFd executable, output;
  std::vector<UniqueFd> descriptors;  // numbers 3 and up of the program
  std::vector<std::string> arguments, environment;
  char* listen_pid = nullptr;  // in the environment: where its pid belongs
};

constexpr const char* kListenPid = "LISTEN_PID=";
constexpr std::size_t kPidDigits = 10;

// Without zeros before it: libsystemd would take it for octal.
void WritePid(char* at) {
  std::size_t digits = 1;
  for (auto rest = ::getpid(); rest >= 10; rest /= 10) ++digits;
  at[digits] = '\0';
  for (auto rest = ::getpid(); digits > 0; rest /= 10)
    at[--digits] = static_cast<char>('0' + rest % 10);
}

// Between fork() and exec(): nothing here takes a lock or memory.
[[noreturn]] void Become(const Program& program, const Inheritance& inheritance, pid_t parent,
                         char** arguments, char** environment) {
  if (program.uid.has_value() && !BecomeUser(*program.uid, program.gid)) ::_exit(127);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a change of user clears it
  if (::getppid() != parent) ::_exit(127);
  if (inheritance.output) {
    ::dup2(inheritance.output.get(), STDOUT_FILENO);
    ::dup2(inheritance.output.get(), STDERR_FILENO);
  }
  const int count = static_cast<int>(inheritance.descriptors.size());
  for (int i = 0; i < count; ++i)
    ::dup2(inheritance.descriptors[static_cast<std::size_t>(i)].get(), kChannel + i);
  // What this process inherited itself is no business of the program's.
  ::close_range(static_cast<unsigned>(kChannel + count), ~0U, CLOSE_RANGE_CLOEXEC);
  if (inheritance.listen_pid != nullptr) WritePid(inheritance.listen_pid);
  if (program.nofile.has_value()) ::setrlimit(RLIMIT_NOFILE, &*program.nofile);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // By its descriptor: its user may not be able to enter the directories above it.
  ::syscall(SYS_execveat, inheritance.executable.get(), "", arguments, environment, AT_EMPTY_PATH);
  ::_exit(127);
}

// A copy above the numbers that a program finds its own at.
UniqueFd Lift(int fd, std::size_t descriptors) {
  return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, kChannel + static_cast<int>(descriptors)));
}

UniqueFd OpenOutput(const Program& program) {
  if (program.output.empty()) return {};
  const int how = O_WRONLY | O_CREAT | O_CLOEXEC | (program.appends ? O_APPEND : O_TRUNC);
  UniqueFd output(::open(program.output.c_str(), how, 0644));
  EXPECT_TRUE(output) << program.output << ": " << std::strerror(errno);
  return output;
}

std::vector<std::string> EnvironmentOf(const Program& program) {
  std::vector<std::string> environment = program.environment;
  if (!program.passed.empty()) {
    std::string names;
    for (const auto& [name, fd] : program.passed) names += (names.empty() ? "" : ":") + name;
    environment.push_back("LISTEN_FDS=" + std::to_string(program.passed.size()));
    environment.push_back("LISTEN_FDNAMES=" + names);
    environment.push_back(kListenPid + std::string(kPidDigits, '0'));
  }
  for (char** variable = environ; *variable != nullptr; ++variable)
    environment.emplace_back(*variable);
  return environment;
}

Inheritance InheritanceOf(const Program& program) {
  std::vector<int> descriptors;
  if (program.channel >= 0) descriptors.push_back(program.channel);
  for (const auto& [name, fd] : program.passed) descriptors.push_back(fd);
  Inheritance inheritance = {.output = OpenOutput(program),
                             .arguments = program.arguments,
                             .environment = EnvironmentOf(program)};
  const std::string& path = program.arguments[0];
  const UniqueFd executable(::open(path.c_str(), O_PATH | O_CLOEXEC));
  EXPECT_TRUE(executable) << path << ": " << std::strerror(errno);
  inheritance.executable = Lift(executable.get(), descriptors.size());
  for (const int fd : descriptors) inheritance.descriptors.push_back(Lift(fd, descriptors.size()));
  const auto variable =
      std::find_if(inheritance.environment.begin(), inheritance.environment.end(),
                   [](const std::string& text) { return text.rfind(kListenPid, 0) == 0; });
  if (!program.passed.empty()) inheritance.listen_pid = variable->data() + std::strlen(kListenPid);
  return inheritance;
}

bool Exited(int pidfd, int ms) {
  pollfd p = {.fd = pidfd, .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, ms) > 0;
}

}  // namespace

Child::Child(const Program& program) {
  Inheritance inheritance = InheritanceOf(program);
  std::vector<char*> arguments = Pointers(inheritance.arguments);
  std::vector<char*> environment = Pointers(inheritance.environment);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) Become(program, inheritance, parent, arguments.data(), environment.data());
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
