// SPDX-License-Identifier: Apache-2.0
#include "daemon/witness/socket_witness.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/holders/answer.h"
#include "daemon/holders/holders_wire.h"
#include "daemon/holders/question.h"
#include "daemon/witness/testimony.h"

namespace hlbuf {
namespace {

std::uint64_t PidNamespace() {
  struct stat here = {};
  return ::stat("/proc/self/ns/pid", &here) == 0 ? here.st_ino : 0;
}

// Of a connected socket: who listens there.
bool IsTrusted(int socket) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == ::geteuid());
}

absl::StatusOr<UniqueFd> ConnectTo(const std::string& path) {
  sockaddr_un address = {.sun_family = AF_UNIX};
  if (path.empty() || path.size() >= sizeof(address.sun_path))
    return absl::UnavailableError("no socket of hl-bufd-holders is configured");
  path.copy(address.sun_path, path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return absl::ErrnoToStatus(errno, "socket");
  // A full backlog is EAGAIN: it does not wait.
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return absl::ErrnoToStatus(errno, absl::StrCat("connect to ", path));
  if (!IsTrusted(socket.get()))
    return absl::PermissionDeniedError(absl::StrCat(path, " is neither root's nor the service's"));
  return socket;
}

bool PassesLater(int error) { return error == EAGAIN || error == EINTR; }

}  // namespace

struct SocketWitness::Exchange {
  UniqueFd socket;
  std::unique_ptr<EventLoop::Watch> watch;  // before the socket is closed
  std::string question;
  std::size_t sent = 0;
  std::string answer;
  absl::Time deadline;
  std::vector<Question> questions;
};

SocketWitness::SocketWitness(std::string path, EventLoop& loop, const Clock& clock)
    : path_(std::move(path)), loop_(loop), clock_(clock), pid_namespace_(PidNamespace()) {}

SocketWitness::~SocketWitness() = default;

bool SocketWitness::Ask(std::vector<BufferFile> files, Done done) {
  if (exchange_ != nullptr) {
    if (waiting_.size() == kWaitingMax) return false;
    waiting_.push_back({std::move(files), std::move(done)});
    return true;
  }
  std::vector<Question> questions;
  questions.push_back({std::move(files), std::move(done)});
  return Begin(questions).ok();
}

absl::Status SocketWitness::Begin(std::vector<Question>& questions) {
  auto exchange = std::make_unique<Exchange>();
  ASSIGN_OR_RETURN(exchange->socket, ConnectTo(path_));
  absl::flat_hash_set<BufferFile> known;
  std::vector<HeldFile> files;
  for (const Question& question : questions)
    for (const BufferFile& file : question.files)
      if (files.size() < HLBUF_HOLDERS_FILES_MAX && known.insert(file).second)
        files.push_back({.kind = file.dmabuf ? HeldFile::Kind::kDmabuf : HeldFile::Kind::kMemfd,
                         .inode = file.inode});
  exchange->question = FormatQuestion(files);
  exchange->deadline = clock_.Now() + kPatience;
  // One that has ended is watched until the loop destroys it.
  const auto task = [this, self = exchange.get()](std::uint32_t revents) {
    if (exchange_.get() == self) OnReady(revents);
  };
  ASSIGN_OR_RETURN(exchange->watch, loop_.AddIo(exchange->socket.get(), EPOLLIN | EPOLLOUT, task));
  exchange->questions = std::move(questions);
  exchange_ = std::move(exchange);
  return absl::OkStatus();
}

void SocketWitness::OnReady(std::uint32_t revents) {
  if ((revents & EPOLLOUT) != 0 && exchange_->sent < exchange_->question.size()) return Send();
  if ((revents & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) Receive();
}

void SocketWitness::Send() {
  Exchange& exchange = *exchange_;
  const ssize_t n = ::send(exchange.socket.get(), exchange.question.data() + exchange.sent,
                           exchange.question.size() - exchange.sent, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n < 0 && PassesLater(errno)) return;
  if (n < 0) return End(absl::ErrnoToStatus(errno, "send a question to hl-bufd-holders"));
  exchange.sent += static_cast<std::size_t>(n);
  if (exchange.sent == exchange.question.size()) exchange.watch->SetEvents(EPOLLIN);
}

void SocketWitness::Receive() {
  Exchange& exchange = *exchange_;
  std::array<char, 65'536> chunk;
  const ssize_t n = ::recv(exchange.socket.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
  if (n < 0 && PassesLater(errno)) return;
  if (n < 0) return End(absl::ErrnoToStatus(errno, "read the answer of hl-bufd-holders"));
  if (n == 0) return End(Judge(exchange.answer));
  exchange.answer.append(chunk.data(), static_cast<std::size_t>(n));
  if (exchange.answer.size() > HLBUF_HOLDERS_ANSWER_BYTES_MAX)
    End(absl::DataLossError("hl-bufd-holders says more than any answer"));
}

absl::StatusOr<Testimony> SocketWitness::Judge(const std::string& answer) const {
  const std::optional<HoldersAnswer> parsed = ParseAnswer(answer);
  if (!parsed.has_value()) return absl::DataLossError("hl-bufd-holders gave no answer");
  return ToTestimony(*parsed, {.uid = ::geteuid(), .pid_namespace = pid_namespace_});
}

// The watch may be the one that is running: it is destroyed later.
void SocketWitness::End(const absl::StatusOr<Testimony>& testimony) {
  std::unique_ptr<Exchange> ended = std::move(exchange_);
  std::vector<Question> answered = std::move(ended->questions);
  loop_.Post([ended = std::move(ended)] {});
  std::vector<Question> next = std::exchange(waiting_, {});
  const absl::Status begun = next.empty() ? absl::OkStatus() : Begin(next);
  for (Question& question : answered) std::move(question.done)(testimony);
  if (!begun.ok())
    for (Question& question : next) std::move(question.done)(begun);
}

absl::Time SocketWitness::NextDeadline() const {
  return exchange_ == nullptr ? absl::InfiniteFuture() : exchange_->deadline;
}

void SocketWitness::RunDeadlines() {
  if (exchange_ != nullptr && clock_.Now() >= exchange_->deadline)
    End(absl::DeadlineExceededError("hl-bufd-holders does not answer"));
}

}  // namespace hlbuf
