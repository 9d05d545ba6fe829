// SPDX-License-Identifier: Apache-2.0
// What a socket unit of systemd with Accept=yes does: accept_each SOCKET PROGRAM listens at SOCKET,
// and runs PROGRAM for each connection, which is its standard input and output.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

namespace {

int Fail(const char* what) {
  std::perror(what);
  return 1;
}

[[noreturn]] void Serve(int connection, char* program) {
  std::signal(SIGCHLD, SIG_DFL);
  ::dup2(connection, STDIN_FILENO);
  ::dup2(connection, STDOUT_FILENO);
  char* arguments[] = {program, nullptr};
  ::execv(program, arguments);
  ::_exit(127);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return Fail("usage: accept_each SOCKET PROGRAM");
  const std::string path(argv[1]);
  sockaddr_un address = {.sun_family = AF_UNIX};
  if (path.size() >= sizeof(address.sun_path)) return Fail("the path is too long");
  path.copy(address.sun_path, path.size());
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listener, 16) != 0)
    return Fail(argv[1]);
  std::signal(SIGCHLD, SIG_IGN);  // nobody has to be waited for
  while (true) {
    const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    if (::fork() == 0) Serve(connection, argv[2]);
    ::close(connection);
  }
}
