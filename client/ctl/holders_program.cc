// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/holders_program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "daemon/holders/holders_wire.h"

namespace hlbuf::ctl {
namespace {

constexpr const char* kName = "hl-bufd-holders";

absl::Status Failed(const std::string& program, const std::string& why) {
  return absl::UnavailableError(absl::StrCat(program, ": ", why));
}

// The program as a child whose standard input and output are `socket`; 0, or an errno.
int Spawn(const std::string& program, int socket, pid_t& child) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  absl::Cleanup destroy = [&actions] { ::posix_spawn_file_actions_destroy(&actions); };
  ::posix_spawn_file_actions_adddup2(&actions, socket, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, socket, STDOUT_FILENO);
  std::string name(kName);
  char* arguments[] = {name.data(), nullptr};
  char* environment[] = {nullptr};
  return ::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, environment);
}

// False: the socket is not ready for `events` before the deadline.
bool Await(int socket, short events, absl::Time deadline) {
  while (true) {
    const std::int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    pollfd p = {.fd = socket, .events = events, .revents = 0};
    if (left <= 0) return false;
    const int ready = ::poll(&p, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

bool SendAll(int socket, const std::string& text, absl::Time deadline) {
  for (std::size_t sent = 0; sent < text.size();) {
    if (!Await(socket, POLLOUT, deadline)) return false;
    const ssize_t n =
        ::send(socket, text.data() + sent, text.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

// Up to the end of file; nullopt: it did not come in time, or too much did.
std::optional<std::string> ReceiveAll(int socket, absl::Time deadline) {
  std::string text;
  std::array<char, 65'536> chunk;
  while (text.size() <= HLBUF_HOLDERS_ANSWER_BYTES_MAX) {
    if (!Await(socket, POLLIN, deadline)) return std::nullopt;
    const ssize_t n = ::recv(socket, chunk.data(), chunk.size(), 0);
    if (n < 0) return std::nullopt;
    if (n == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(n));
  }
  return std::nullopt;
}

absl::StatusOr<HoldersAnswer> AskOnce(const std::string& program,
                                      const std::vector<HeldFile>& files, absl::Duration patience) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return Failed(program, std::strerror(errno));
  absl::Cleanup close_ours = [&ends] { ::close(ends[0]); };
  pid_t child = -1;
  const int error = Spawn(program, ends[1], child);
  ::close(ends[1]);
  if (error != 0) return Failed(program, std::strerror(error));
  absl::Cleanup reap = [child] {
    ::kill(child, SIGKILL);
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
  };
  // Where it does not read all, what it answers says why.
  const absl::Time deadline = absl::Now() + patience;
  static_cast<void>(SendAll(ends[0], FormatQuestion(files), deadline));
  const std::optional<std::string> text = ReceiveAll(ends[0], deadline);
  std::optional<HoldersAnswer> answer = text.has_value() ? ParseAnswer(*text) : std::nullopt;
  if (!answer.has_value()) return Failed(program, "it gave no answer");
  return *std::move(answer);
}

void Merge(HoldersAnswer more, HoldersAnswer& all) {
  ScanScope& scope = all.scope;
  scope.fd_unreadable = std::max(scope.fd_unreadable, more.scope.fd_unreadable);
  scope.maps_unreadable = std::max(scope.maps_unreadable, more.scope.maps_unreadable);
  scope.bufinfo_errno = std::max(scope.bufinfo_errno, more.scope.bufinfo_errno);
  scope.whole = scope.whole && more.scope.whole;
  scope.hidden = scope.hidden || more.scope.hidden;
  std::move(more.files.begin(), more.files.end(), std::back_inserter(all.files));
}

}  // namespace

absl::StatusOr<HoldersAnswer> AskHolders(const std::string& program,
                                         const std::vector<HeldFile>& files,
                                         absl::Duration patience) {
  absl::StatusOr<HoldersAnswer> all;
  for (std::size_t begin = 0; begin == 0 || begin < files.size();
       begin += HLBUF_HOLDERS_FILES_MAX) {
    const std::size_t end = std::min<std::size_t>(begin + HLBUF_HOLDERS_FILES_MAX, files.size());
    const auto at = [&files](std::size_t i) {
      return files.begin() + static_cast<std::ptrdiff_t>(i);
    };
    absl::StatusOr<HoldersAnswer> some = AskOnce(program, {at(begin), at(end)}, patience);
    if (!some.ok()) return some;
    if (begin == 0)
      all = std::move(some);
    else
      Merge(*std::move(some), *all);
  }
  return all;
}

}  // namespace hlbuf::ctl
