// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "tests/bench/cores.h"
#include "tests/bench/die.h"

namespace hlbuf::bench {
namespace {

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> EnvironmentWith(const std::vector<std::string>& more) {
  std::vector<std::string> all(more);
  for (char** at = environ; *at != nullptr; ++at) all.emplace_back(*at);
  return all;
}

// In the child. The parent may have died before prctl() could tell.
[[noreturn]] void Become(Program& program, pid_t parent, char** arguments, char** environment) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  const int log = ::open(program.log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (program.descriptor >= 0) ::dup2(program.descriptor, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::execve(arguments[0], arguments, environment);
  ::_exit(127);
}

}  // namespace

Child::Child(Program program) : program_(std::move(program)) {
  std::vector<std::string> environment = EnvironmentWith(program_.environment);
  std::vector<char*> arguments = Pointers(program_.arguments);
  std::vector<char*> variables = Pointers(environment);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) DieErrno("fork");
  if (pid_ == 0) Become(program_, parent, arguments.data(), variables.data());
  pidfd_.Reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!pidfd_) DieErrno("pidfd_open");
  Join(pid_);
}

Child::~Child() {
  constexpr int kPatienceMs = 10'000;
  if (!pidfd_) return;
  ::kill(pid_, SIGTERM);
  if (!Exited(kPatienceMs)) ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  Leave(pid_);
}

bool Child::Exited(int timeout_ms) const {
  pollfd p = {.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, timeout_ms) > 0;
}

std::string Child::Log() const {
  std::ostringstream text;
  text << std::ifstream(program_.log).rdbuf();
  return text.str();
}

}  // namespace hlbuf::bench
