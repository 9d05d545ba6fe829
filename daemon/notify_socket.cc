// SPDX-License-Identifier: Apache-2.0
#include "daemon/notify_socket.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "daemon/base/log.h"

namespace hlbuf {
namespace {

// How long `name` is as an address, which it is made; 0: it is none. A '@' stands for the zero
// before an abstract one.
socklen_t AddressOf(absl::string_view name, sockaddr_un& address) {
  if (name.size() < 2 || name.size() >= sizeof(address.sun_path)) return 0;
  if (name[0] != '/' && name[0] != '@') return 0;
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, name.size());
  const std::size_t bytes = offsetof(sockaddr_un, sun_path) + name.size();
  if (name[0] == '/') return static_cast<socklen_t>(bytes + 1);
  address.sun_path[0] = '\0';
  return static_cast<socklen_t>(bytes);
}

// What says how something is now, by how it begins; of each the last one counts.
constexpr absl::string_view kStates[] = {
    "STATUS=", "WATCHDOG=", "BARRIER=", "RELOADING=", "READY=", "STOPPING="};

// Empty: it has to be told, whatever comes later.
absl::string_view StateIn(absl::string_view lines) {
  for (const absl::string_view state : kStates)
    if (absl::StartsWith(lines, state)) return state;
  return "";
}

}  // namespace

NotifySocket::NotifySocket(const Clock& clock) : clock_(clock) {
  const char* const name = std::getenv("NOTIFY_SOCKET");
  if (name == nullptr) return;
  address_bytes_ = AddressOf(name, address_);
  if (address_bytes_ == 0) return;
  socket_.Reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

std::optional<absl::Status> NotifySocket::TrySend(const std::string& lines, int fd) const {
  std::string text = lines;
  iovec part = {.iov_base = text.data(), .iov_len = text.size()};
  sockaddr_un to = address_;
  msghdr message = {};
  message.msg_name = &to;
  message.msg_namelen = address_bytes_;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &fd, sizeof(int));
  }
  if (::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return absl::OkStatus();
  if (errno == EAGAIN || errno == ENOBUFS) return std::nullopt;
  return absl::ErrnoToStatus(errno, "tell the service manager");
}

absl::Status NotifySocket::Send(const std::string& lines, int fd) {
  if (!is_there()) return absl::UnavailableError("no service manager keeps descriptors");
  if (!idle()) return Enqueue(lines, fd);
  if (const std::optional<absl::Status> sent = TrySend(lines, fd)) return *sent;
  pause_ = kFirstPause;
  next_try_ = clock_.Now() + pause_;
  return Enqueue(lines, fd);
}

absl::Status NotifySocket::Enqueue(const std::string& lines, int fd) {
  const absl::string_view state = StateIn(lines);
  if (!state.empty())
    waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(),
                                  [&](const Message& m) { return StateIn(m.lines) == state; }),
                   waiting_.end());
  else if (waiting_.size() >= kWaitingMax)
    return absl::ResourceExhaustedError(
        absl::StrCat("the service manager has not read ", kWaitingMax, " messages"));
  Message message = {.lines = lines, .fd = UniqueFd()};
  if (fd >= 0) {
    message.fd.Reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!message.fd) return absl::ErrnoToStatus(errno, "keep a descriptor for the service manager");
  }
  waiting_.push_back(std::move(message));
  return absl::OkStatus();
}

bool NotifySocket::SendWaiting() {
  while (!waiting_.empty()) {
    const Message& first = waiting_.front();
    const std::optional<absl::Status> sent = TrySend(first.lines, first.fd.get());
    if (!sent) return false;
    if (!sent->ok())
      Log(LogLevel::kWarning,
          absl::StrCat("the service manager was not told ",
                       first.lines.substr(0, first.lines.find('\n')), ": ", sent->message()));
    waiting_.pop_front();
  }
  return true;
}

void NotifySocket::RunDeadlines() {
  if (clock_.Now() < NextDeadline() || SendWaiting()) return;
  pause_ = std::min(2 * pause_, kLongestPause);
  next_try_ = clock_.Now() + pause_;
}

void NotifySocket::Finish(absl::Duration patience) {
  if (SendWaiting()) return;
  // Else poll() knows of no room but our own. Where that fails, so does the next message.
  static_cast<void>(
      ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address_), address_bytes_));
  const absl::Time end = clock_.Now() + patience;
  do {
    const absl::Duration left = std::max(end - clock_.Now(), absl::ZeroDuration());
    pollfd p = {.fd = socket_.get(), .events = POLLOUT, .revents = 0};
    ::poll(&p, 1, static_cast<int>(absl::ToInt64Milliseconds(left)));
    if (SendWaiting()) return;
  } while (clock_.Now() < end);
  Log(LogLevel::kWarning,
      absl::StrCat("the service manager does not read: it was not told ", waiting_.size(),
                   " messages, and may keep less for the next process than it should"));
  waiting_.clear();
}

}  // namespace hlbuf
