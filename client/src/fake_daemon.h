// SPDX-License-Identifier: Apache-2.0
// A daemon that says what a test tells it to, lies included. For tests of the client library.
#ifndef HLBUF_CLIENT_SRC_FAKE_DAEMON_H_
#define HLBUF_CLIENT_SRC_FAKE_DAEMON_H_

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "hlbuf/hlbuf.h"
#include "proto/hlbuf_wire.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf::testing {

using Bytes = std::vector<std::byte>;

// A file of 4096 bytes that stands for a buffer.
UniqueFd SomeMemory();

// One frame. The header's sizes are filled in; the test may spoil them afterwards.
template <class Fixed>
Bytes MakeFrame(std::uint16_t opcode, std::uint64_t cookie, Fixed fixed,
                std::string_view trailing = {}) {
  Bytes frame(sizeof(Fixed) + trailing.size());
  auto& header = reinterpret_cast<hlbuf_wire_header&>(fixed);
  header = {.frame_bytes = static_cast<std::uint32_t>(frame.size()),
            .opcode = opcode,
            .fixed_bytes = sizeof(Fixed),
            .cookie = cookie};
  std::memcpy(frame.data(), &fixed, sizeof(fixed));
  trailing.copy(reinterpret_cast<char*>(frame.data()) + sizeof(fixed), trailing.size());
  return frame;
}

struct Request {
  Bytes bytes;

  // False: the client has gone.
  explicit operator bool() const { return bytes.size() >= sizeof(hlbuf_wire_header); }
  template <class Fixed = hlbuf_wire_header>
  Fixed As() const {
    Fixed fixed = {};
    std::memcpy(&fixed, bytes.data(), std::min(sizeof(fixed), bytes.size()));
    return fixed;
  }
  std::uint16_t opcode() const { return As().opcode; }
  std::uint64_t cookie() const { return As().cookie; }
  std::string_view trailing() const;
  std::vector<std::uint64_t> leases() const;  // of a RELEASE
};

// A REATTACH of all its parts.
struct Reattach {
  hlbuf_wire_reattach fixed = {};  // of the last part
  std::size_t parts = 0;
  std::vector<std::uint64_t> leases;  // sorted
  std::vector<std::uint64_t> cookies;
  std::string name;
};

// The daemon's end of one session. Every wait ends after a generous time, as a failure.
class Conversation {
 public:
  explicit Conversation(UniqueFd socket, int listener = -1)
      : socket_(std::move(socket)), listener_(listener) {}

  // The client's next connection: what the next process of the service would get.
  Conversation Next() const;

  Request Receive();
  // Receives and expects `opcode`.
  Request Expect(std::uint16_t opcode);
  // Waits until the client has gone.
  void ExpectEnd();
  void Send(const Bytes& frame, const std::vector<int>& fds = {});
  void HangUp() { socket_.Reset(); }
  int socket() const { return socket_.get(); }

  void Greet(hlbuf_wire_welcome welcome = kWelcome, const std::vector<int>& fds = {});
  // By a WELCOME that lets the client come back.
  void GreetForGood() { Greet(WelcomeOf(1)); }
  Reattach ExpectReattach();
  void Answer(const Reattach& reattach, const hlbuf_wire_welcome& welcome,
              const std::vector<int>& fds = {});
  // Expects a REATTACH by `secret` and answers it with the next one.
  Reattach TakeBack(std::uint8_t secret = 1);
  // Answers an OPEN of `count` items by buffers 1000 + n, leases first_lease + n, all with the same
  // memory.
  // With `first_slot` the buffers are in the epoch page from there on.
  void Grant(const Request& open, std::uint64_t first_lease, std::uint32_t first_slot = 0);
  void Revoke(std::vector<std::uint64_t> leases, std::uint32_t reason = HLBUF_WIRE_REVOKE_OPERATOR,
              std::uint64_t deadline_boottime_ns = 77);
  void Ping(std::uint64_t nonce);
  void Goodbye(std::uint32_t reason, std::string_view text, bool leases_kept = false);
  void Refuse(const Request& request, std::uint32_t status, std::string_view text);

  static constexpr hlbuf_wire_welcome kWelcome = {.version = HLBUF_WIRE_VERSION,
                                                  .batch_max = HLBUF_WIRE_BATCH_MAX,
                                                  .session_id = 42,
                                                  .frame_bytes_max = HLBUF_WIRE_FRAME_BYTES_MAX,
                                                  .requests_max = 64};

  // kWelcome with a secret of 16 times this byte.
  static hlbuf_wire_welcome WelcomeOf(std::uint8_t secret);

 private:
  UniqueFd socket_;
  int listener_;
  UniqueFd memory_ = SomeMemory();
};

// Listens, accepts one session and runs the script with it, on a thread of its own. The destructor
// waits for its end.
class FakeDaemon {
 public:
  using Script = std::function<void(Conversation&)>;

  explicit FakeDaemon(Script script);
  ~FakeDaemon();
  FakeDaemon(const FakeDaemon&) = delete;
  FakeDaemon& operator=(const FakeDaemon&) = delete;

  const std::string& path() const { return path_; }
  // Nobody listens there; then somebody does again.
  void Hide() const;
  void Show() const;

 private:
  std::string directory_;
  std::string path_;
  UniqueFd listener_;
  std::thread thread_;
};

// Descriptors of this process.
int OpenFds();

// Leaves this process without a free descriptor.
class NoFreeDescriptors {
 public:
  NoFreeDescriptors();
  ~NoFreeDescriptors();
  NoFreeDescriptors(const NoFreeDescriptors&) = delete;
  NoFreeDescriptors& operator=(const NoFreeDescriptors&) = delete;

 private:
  rlimit before_ = {};
  std::vector<UniqueFd> taken_;
};

// Fails a test that leaves a descriptor open.
class ClientTest : public ::testing::Test {
 protected:
  void SetUp() override { fds_before_ = OpenFds(); }
  void TearDown() override { EXPECT_EQ(OpenFds(), fds_before_); }

  // Connects or fails the test. `options` may have callbacks.
  static hlbuf_client* Connect(const FakeDaemon& daemon, hlbuf_connect_options options = {});

  hlbuf_error error_ = {};

 private:
  int fds_before_ = 0;
};

}  // namespace hlbuf::testing

#endif  // HLBUF_CLIENT_SRC_FAKE_DAEMON_H_
