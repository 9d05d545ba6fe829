// SPDX-License-Identifier: Apache-2.0
#include "tests/support/client_process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proto/wire/packet.h"
#include "tests/support/daemon_process.h"

namespace hlbuf {
namespace {

UniqueFd PidfdOf(pid_t pid) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

absl::Span<const std::byte> BytesOf(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

std::vector<std::string> Arguments(const User& user) {
  std::vector<std::string> arguments = {BuiltPath("tests/support/step_client")};
  if (user.uid.has_value()) {
    EXPECT_EQ(::geteuid(), 0U) << "this test runs clients under other uids: run it as root";
    arguments.push_back(absl::StrCat(*user.uid));
    arguments.push_back(absl::StrJoin(user.gids, ","));
  }
  return arguments;
}

}  // namespace

User Alice() { return {.uid = 64'001, .gids = {DaemonProcess::kClientsGid}}; }
User Bob() { return {.uid = 64'002, .gids = {DaemonProcess::kClientsGid}}; }
User Stranger() { return {.uid = 64'003, .gids = {64'203}}; }

std::uint64_t Reply::Number(std::size_t index) const {
  return index < words.size() ? std::strtoull(words[index].c_str(), nullptr, 10) : 0;
}

std::string Reply::Text() const { return absl::StrJoin(words, " "); }

ClientProcess::ClientProcess(const User& user) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  channel_ = UniqueFd(ends[0]);
  const UniqueFd theirs(ends[1]);
  child_ = std::make_unique<Child>(Program{.arguments = Arguments(user), .channel = theirs.get()});
  pid_ = child_->pid();
  pidfd_ = PidfdOf(pid_);
}

ClientProcess::ClientProcess(pid_t pid, UniqueFd channel)
    : channel_(std::move(channel)), pid_(pid), pidfd_(PidfdOf(pid)) {}

ClientProcess::~ClientProcess() { Kill(); }

void ClientProcess::Begin(const std::string& step) {
  EXPECT_TRUE(SendPacket(channel_.get(), BytesOf(step + "\n")).ok()) << step;
}

Reply ClientProcess::Do(const std::string& step, const std::string& bytes, int fd) {
  const std::string packet = absl::StrCat(step, "\n", bytes);
  const std::vector<int> fds(fd >= 0 ? 1 : 0, fd);
  const absl::Status sent = SendPacket(channel_.get(), BytesOf(packet), fds);
  EXPECT_TRUE(sent.ok()) << step << ": " << sent;
  return sent.ok() ? Answer() : Reply();
}

Reply ClientProcess::Answer() {
  pollfd p = {.fd = channel_.get(), .events = POLLIN, .revents = 0};
  const auto in = std::make_unique<PacketBuffer>();
  if (::poll(&p, 1, 2 * kPatienceMs) <= 0 || !ReceivePacket(channel_.get(), *in).ok()) {
    ADD_FAILURE() << "the client's process does not answer, or has ended";
    return {};
  }
  const std::string packet(reinterpret_cast<const char*>(in->bytes().data()), in->bytes().size());
  const std::size_t end = packet.find('\n');
  Reply reply;
  reply.words = absl::StrSplit(packet.substr(0, end), ' ', absl::SkipEmpty());
  reply.ok = reply.words.front() == "ok";
  reply.words.erase(reply.words.begin());
  reply.bytes = packet.substr(end + 1);
  if (!in->fds().empty()) reply.fd = std::move(in->fds().front());
  return reply;
}

Reply ClientProcess::Must(const std::string& step, const std::string& bytes, int fd) {
  Reply reply = Do(step, bytes, fd);
  EXPECT_TRUE(reply.ok) << step << ": " << reply.Text();
  return reply;
}

void ClientProcess::Signal(int signal) const {
  if (pidfd_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0);
}

void ClientProcess::AwaitDeath() const {
  pollfd p = {.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  EXPECT_TRUE(!pidfd_ || ::poll(&p, 1, kPatienceMs) > 0) << "process " << pid_ << " does not end";
}

void ClientProcess::Kill() {
  Signal(SIGKILL);
  AwaitDeath();
}

int ClientProcess::DiedOf() {
  const std::optional<int> status = child_->Wait();
  EXPECT_TRUE(status.has_value()) << "process " << pid_ << " does not end";
  return status.has_value() && WIFSIGNALED(*status) ? WTERMSIG(*status) : 0;
}

void ClientProcess::Exit() {
  Begin("exit 0");
  AwaitDeath();
}

void ClientProcess::EnterNamespaces(const std::string& directory) {
  pid_ = Must("namespaces " + directory).Int();
  pidfd_ = PidfdOf(pid_);
}

std::unique_ptr<ClientProcess> ClientProcess::Fork() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  const pid_t pid = Must("fork", "", theirs.get()).Int();
  return std::unique_ptr<ClientProcess>(new ClientProcess(pid, std::move(ours)));
}

int ClientProcess::Duplicate(int fd) { return Must(absl::StrCat("dup ", fd)).Int(); }
void ClientProcess::Close(int fd) { Must(absl::StrCat("close ", fd)); }
UniqueFd ClientProcess::Give(int fd) { return std::move(Must(absl::StrCat("give ", fd)).fd); }
int ClientProcess::Take(int fd) { return Must("take", "", fd).Int(); }

std::uint64_t ClientProcess::Map(int fd, std::uint64_t size_bytes) {
  return Must(absl::StrCat("map ", fd, " ", size_bytes)).Number();
}
void ClientProcess::Unmap(std::uint64_t address, std::uint64_t size_bytes) {
  Must(absl::StrCat("unmap ", address, " ", size_bytes));
}
std::string ClientProcess::Peek(std::uint64_t address, std::uint64_t size_bytes) {
  return Must(absl::StrCat("peek ", address, " ", size_bytes)).bytes;
}
void ClientProcess::Poke(std::uint64_t address, const std::string& bytes) {
  Must(absl::StrCat("poke ", address), bytes);
}

// DMA_BUF_SYNC_READ, _WRITE and _END are 1, 2 and 4 (linux/dma-buf.h).
std::string ClientProcess::Read(int fd, std::uint64_t size_bytes) {
  const std::uint64_t address = Map(fd, size_bytes);
  Must(absl::StrCat("sync ", fd, " 1"));
  std::string bytes = Peek(address, size_bytes);
  Must(absl::StrCat("sync ", fd, " 5"));
  Unmap(address, size_bytes);
  return bytes;
}

void ClientProcess::Write(int fd, const std::string& bytes) {
  const std::uint64_t address = Map(fd, bytes.size());
  Must(absl::StrCat("sync ", fd, " 2"));
  Poke(address, bytes);
  Must(absl::StrCat("sync ", fd, " 6"));
  Unmap(address, bytes.size());
}

SessionThere SessionThere::Connect(ClientProcess& process, const std::string& path) {
  return {process, process.Must("connect " + path).Int()};
}

SessionThere SessionThere::Greeted(ClientProcess& process, const std::string& path) {
  SessionThere session = Connect(process, path);
  const std::optional<PacketThere> welcome = session.Ask(HelloFrame());
  EXPECT_TRUE(welcome.has_value() && welcome->opcode() == HLBUF_WIRE_WELCOME);
  return session;
}

void SessionThere::Send(const std::vector<std::byte>& frame, int fd) {
  process_->Must(absl::StrCat("send ", socket_),
                 std::string(reinterpret_cast<const char*>(frame.data()), frame.size()), fd);
}

std::optional<PacketThere> SessionThere::Receive() {
  const Reply reply = process_->Do(absl::StrCat("receive ", socket_));
  if (!reply.ok) return std::nullopt;
  PacketThere packet;
  packet.bytes.resize(reply.bytes.size());
  std::memcpy(packet.bytes.data(), reply.bytes.data(), reply.bytes.size());
  for (std::size_t i = 0; i < reply.words.size(); ++i) packet.numbers.push_back(reply.Int(i));
  return packet;
}

std::optional<PacketThere> SessionThere::ReceiveAnswer() {
  for (;;) {
    std::optional<PacketThere> packet = Receive();
    if (!packet.has_value() || packet->cookie() != 0) return packet;
  }
}

std::optional<PacketThere> SessionThere::Ask(const std::vector<std::byte>& frame) {
  Send(frame);
  return ReceiveAnswer();
}

}  // namespace hlbuf
