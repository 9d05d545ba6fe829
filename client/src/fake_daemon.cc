// SPDX-License-Identifier: Apache-2.0
#include "client/src/fake_daemon.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>

namespace hlbuf::testing {
namespace {

constexpr timeval kPatience = {.tv_sec = 30, .tv_usec = 0};

void LoseNoTime(int socket) {
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience));
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience));
}

}  // namespace

std::string_view Request::trailing() const {
  return {reinterpret_cast<const char*>(bytes.data()) + As().fixed_bytes,
          bytes.size() - As().fixed_bytes};
}

std::vector<std::uint64_t> Request::leases() const {
  std::vector<std::uint64_t> leases(trailing().size() / sizeof(std::uint64_t));
  std::memcpy(leases.data(), trailing().data(), leases.size() * sizeof(std::uint64_t));
  EXPECT_EQ(leases.size(), As<hlbuf_wire_release>().lease_count);
  return leases;
}

Conversation Conversation::Next() const {
  Conversation next(UniqueFd(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)), listener_);
  EXPECT_GE(next.socket(), 0) << "nobody connected";
  LoseNoTime(next.socket());
  return next;
}

Request Conversation::Receive() {
  Request request;
  request.bytes.resize(HLBUF_WIRE_FRAME_BYTES_MAX);
  const ssize_t n = ::recv(socket_.get(), request.bytes.data(), request.bytes.size(), 0);
  if (n < 0 && errno != ECONNRESET) ADD_FAILURE() << "nothing came: " << std::strerror(errno);
  request.bytes.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  if (request) {
    EXPECT_EQ(request.As().frame_bytes, request.bytes.size());
    EXPECT_GE(request.As().fixed_bytes, sizeof(hlbuf_wire_header));
    EXPECT_LE(request.As().fixed_bytes, request.bytes.size());
  }
  return request;
}

Request Conversation::Expect(std::uint16_t opcode) {
  Request request = Receive();
  EXPECT_EQ(request.opcode(), opcode);
  return request;
}

void Conversation::ExpectEnd() {
  const Request request = Receive();
  EXPECT_FALSE(request) << "opcode " << request.opcode();
}

void Conversation::Send(const Bytes& frame, const std::vector<int>& fds) {
  iovec iov = {.iov_base = const_cast<std::byte*>(frame.data()), .iov_len = frame.size()};
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  Bytes control(CMSG_SPACE(fds.size() * sizeof(int)));
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
  }
  // A client that hung up first is the test's affair, not ours.
  static_cast<void>(::sendmsg(socket_.get(), &message, MSG_NOSIGNAL));
}

void Conversation::Greet(hlbuf_wire_welcome welcome, const std::vector<int>& fds) {
  const Request hello = Expect(HLBUF_WIRE_HELLO);
  Send(MakeFrame(HLBUF_WIRE_WELCOME, hello.cookie(), welcome), fds);
}

hlbuf_wire_welcome Conversation::WelcomeOf(std::uint8_t secret) {
  hlbuf_wire_welcome welcome = kWelcome;
  welcome.features = HLBUF_WIRE_FEATURE_REATTACH;
  std::memset(welcome.secret, secret, sizeof(welcome.secret));
  return welcome;
}

Reattach Conversation::ExpectReattach() {
  Reattach all;
  do {
    const Request part = Expect(HLBUF_WIRE_REATTACH);
    if (!part) break;
    all.fixed = part.As<hlbuf_wire_reattach>();
    std::vector<std::uint64_t> ids(all.fixed.lease_count + all.fixed.cookie_count);
    const std::string_view trailing = part.trailing();
    EXPECT_EQ(trailing.size(), ids.size() * sizeof(ids[0]) + all.fixed.client_bytes);
    trailing.copy(reinterpret_cast<char*>(ids.data()), ids.size() * sizeof(ids[0]));
    const auto cookies = ids.begin() + static_cast<std::ptrdiff_t>(all.fixed.lease_count);
    all.leases.insert(all.leases.end(), ids.begin(), cookies);
    all.cookies.insert(all.cookies.end(), cookies, ids.end());
    all.name = trailing.substr(ids.size() * sizeof(ids[0]));
    ++all.parts;
  } while (all.fixed.flags == HLBUF_WIRE_REATTACH_MORE);
  std::sort(all.leases.begin(), all.leases.end());
  return all;
}

void Conversation::Answer(const Reattach& reattach, const hlbuf_wire_welcome& welcome,
                          const std::vector<int>& fds) {
  Send(MakeFrame(HLBUF_WIRE_REATTACHED, reattach.fixed.header.cookie, welcome), fds);
}

Reattach Conversation::TakeBack(std::uint8_t secret) {
  Reattach asked = ExpectReattach();
  EXPECT_EQ(asked.fixed.session_id, kWelcome.session_id);
  for (const std::uint8_t byte : asked.fixed.secret) EXPECT_EQ(byte, secret);
  Answer(asked, WelcomeOf(static_cast<std::uint8_t>(secret + 1)));
  return asked;
}

void Conversation::Grant(const Request& open, std::uint64_t first_lease, std::uint32_t first_slot) {
  const std::size_t count = open.As<hlbuf_wire_open>().item_count;
  std::vector<hlbuf_wire_opened_item> items(count);
  for (std::size_t i = 0; i < count; ++i)
    items[i] = {.buffer_id = 1000 + first_lease + i,
                .lease_id = first_lease + i,
                .size_bytes = 4096,
                .epoch = 1,
                .epoch_slot = first_slot == 0 ? 0 : first_slot + static_cast<std::uint32_t>(i)};
  const hlbuf_wire_opened fixed = {.item_count = static_cast<std::uint16_t>(count),
                                   .item_bytes = sizeof(items[0]),
                                   .fd_count = static_cast<std::uint16_t>(count)};
  Send(MakeFrame(HLBUF_WIRE_OPENED, open.cookie(), fixed,
                 {reinterpret_cast<const char*>(items.data()), count * sizeof(items[0])}),
       std::vector<int>(count, memory_.get()));
}

void Conversation::Revoke(std::vector<std::uint64_t> leases, std::uint32_t reason,
                          std::uint64_t deadline_boottime_ns) {
  std::vector<hlbuf_wire_revoked_lease> items;
  items.reserve(leases.size());
  for (const std::uint64_t lease : leases) items.push_back({.lease_id = lease, .buffer_id = 1000});
  const hlbuf_wire_revoke fixed = {.reason = reason,
                                   .lease_count = static_cast<std::uint32_t>(items.size()),
                                   .deadline_boottime_ns = deadline_boottime_ns,
                                   .item_bytes = sizeof(items[0])};
  Send(MakeFrame(HLBUF_WIRE_REVOKE, 0, fixed,
                 {reinterpret_cast<const char*>(items.data()), items.size() * sizeof(items[0])}));
}

void Conversation::Ping(std::uint64_t nonce) {
  Send(MakeFrame(HLBUF_WIRE_PING, 0, hlbuf_wire_ping{.nonce = nonce}));
}

void Conversation::Goodbye(std::uint32_t reason, std::string_view text, bool leases_kept) {
  Send(MakeFrame(HLBUF_WIRE_GOODBYE, 0,
                 hlbuf_wire_goodbye{.reason = reason,
                                    .leases_kept = leases_kept ? 1U : 0U,
                                    .text_bytes = static_cast<std::uint32_t>(text.size())},
                 text));
}

void Conversation::Refuse(const Request& request, std::uint32_t status, std::string_view text) {
  Send(MakeFrame(
      HLBUF_WIRE_ERROR, request.cookie(),
      hlbuf_wire_error{.status = status, .text_bytes = static_cast<std::uint32_t>(text.size())},
      text));
}

FakeDaemon::FakeDaemon(Script script) {
  char directory[] = "/tmp/hlbuf-fake.XXXXXX";
  directory_ = ::mkdtemp(directory);
  path_ = directory_ + "/buf.sock";
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
  listener_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(::listen(listener_.get(), 8), 0);
  LoseNoTime(listener_.get());
  thread_ = std::thread([this, script = std::move(script)] {
    Conversation talk = Conversation(UniqueFd(), listener_.get()).Next();
    script(talk);
  });
}

FakeDaemon::~FakeDaemon() {
  thread_.join();
  ::unlink(path_.c_str());
  ::rmdir(directory_.c_str());
}

void FakeDaemon::Hide() const { EXPECT_EQ(::rename(path_.c_str(), (path_ + ".away").c_str()), 0); }

void FakeDaemon::Show() const { EXPECT_EQ(::rename((path_ + ".away").c_str(), path_.c_str()), 0); }

UniqueFd SomeMemory() {
  UniqueFd fd(::memfd_create("fake-buffer", MFD_CLOEXEC));
  EXPECT_EQ(::ftruncate(fd.get(), 4096), 0);
  return fd;
}

int OpenFds() {
  int count = 0;
  DIR* directory = ::opendir("/proc/self/fd");
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

NoFreeDescriptors::NoFreeDescriptors() {
  EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
  rlimit low = before_;
  low.rlim_cur = std::min<rlim_t>(low.rlim_cur, 64);
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  do taken_.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  while (taken_.back());
}

NoFreeDescriptors::~NoFreeDescriptors() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }

hlbuf_client* ClientTest::Connect(const FakeDaemon& daemon, hlbuf_connect_options options) {
  hlbuf_client* client = nullptr;
  hlbuf_error error = {};
  options.struct_bytes = sizeof(options);
  options.socket_path = daemon.path().c_str();
  if (options.timeout_ms == 0) options.timeout_ms = 20000;
  EXPECT_EQ(hlbuf_connect(&options, &client, &error), HLBUF_OK) << error.text;
  return client;
}

}  // namespace hlbuf::testing
