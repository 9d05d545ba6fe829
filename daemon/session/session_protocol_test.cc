// SPDX-License-Identifier: Apache-2.0
// What a session makes of frames that nobody should send.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/session_steps.h"

namespace hlbuf {
namespace {

std::vector<std::byte> Bare(std::uint16_t opcode, std::uint64_t cookie) {
  return MakeFrame<hlbuf_wire_header>({}, static_cast<hlbuf_wire_opcode>(opcode), cookie);
}

std::vector<std::byte> HelloOf(std::uint32_t version) {
  return MakeFrame<hlbuf_wire_hello>({.version = version}, HLBUF_WIRE_HELLO, 1);
}

// ERROR with `cookie` where there is one, GOODBYE, end of file; and the session is gone.
void ExpectBrokenOff(SessionRig& rig, RawClient& client, std::uint64_t cookie) {
  std::optional<Packet> error;
  if (cookie != 0) {
    error = client.Receive();
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->opcode(), HLBUF_WIRE_ERROR);
    EXPECT_EQ(error->cookie(), cookie);
    EXPECT_EQ(error->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_PROTOCOL_ERROR});
  }
  const std::optional<Packet> goodbye = client.Receive();
  ASSERT_TRUE(goodbye.has_value());
  EXPECT_EQ(goodbye->opcode(), HLBUF_WIRE_GOODBYE);
  EXPECT_EQ(goodbye->As<hlbuf_wire_goodbye>().reason, std::uint32_t{HLBUF_WIRE_GOODBYE_PROTOCOL});
  EXPECT_FALSE(goodbye->text().empty());
  if (error.has_value()) {
    EXPECT_EQ(goodbye->text(), error->text());
  }
  EXPECT_FALSE(client.Receive().has_value());
  rig.Until(IsForgotten);
}

TEST(SessionProtocol, EveryFrameThatIsBrokenOrNotAClientsIsTheEnd) {
  SessionRig rig;
  std::vector<std::byte> short_frame = DevicesFrame(8);
  short_frame.pop_back();
  const std::vector<std::pair<std::vector<std::byte>, std::uint64_t>> frames = {
      {Bare(0, 5), 5},
      {Bare(HLBUF_WIRE_REPLY, 5), 5},
      {Bare(HLBUF_WIRE_WELCOME, 5), 5},
      {Bare(HLBUF_WIRE_REVOKE, 0), 0},
      {Bare(HLBUF_WIRE_ERROR, 6), 6},
      {Bare(0x100, 5), 5},
      {Bare(0xffff, 5), 5},
      {DevicesFrame(0), 0},  // a request that nobody could answer
      {AllocateFrame(0, 4096), 0},
      {Bare(15, 0), 0},
      {HelloFrame(7), 7},  // a second one
      {short_frame, 0},
      {Bare(HLBUF_WIRE_OPEN, 9), 9},
      {ReleaseFrame({}), 0},
      {{}, 0},
      {std::vector<std::byte>(1), 0},
      {std::vector<std::byte>(HLBUF_WIRE_FRAME_BYTES_MAX), 0},
      {std::vector<std::byte>(HLBUF_WIRE_FRAME_BYTES_MAX + 1), 0},
      {std::vector<std::byte>(150'000), 0}};
  for (std::size_t i = 0; i < frames.size(); ++i) {
    SCOPED_TRACE(absl::StrCat("frame ", i));
    RawClient client = RawClient::Greeted(rig.path());
    Allocated(client);
    ASSERT_EQ(client.Send(frames[i].first), 0);
    ExpectBrokenOff(rig, client, frames[i].second);
  }
}

TEST(SessionProtocol, NothingButHelloComesFirst) {
  SessionRig rig;
  for (const auto& frame : {AllocateFrame(4, 4096), OpenFrame(4, {1}), DevicesFrame(4), Bare(7, 4),
                            Bare(127, 4), ShareFrame(4, HLBUF_WIRE_SHARE, 1, 1, 1)}) {
    RawClient client = RawClient::Connect(rig.path());
    ASSERT_EQ(client.Send(frame), 0);
    ExpectBrokenOff(rig, client, 4);
  }
  for (const auto& frame : {ReleaseFrame({1}), PongFrame(1)}) {
    RawClient client = RawClient::Connect(rig.path());
    ASSERT_EQ(client.Send(frame), 0);
    ExpectBrokenOff(rig, client, 0);
  }
}

TEST(SessionProtocol, IsToldToOperatorsOnce) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  for (int i = 0; i < 5; ++i) client.Send(Bare(0, 5));
  EXPECT_EQ(client.DrainToEnd(), HLBUF_WIRE_GOODBYE);
  rig.Until(IsForgotten);
  int told = 0;
  for (const Event& event : rig.Events()) told += event.kind == EventKind::kProtocolBroken ? 1 : 0;
  EXPECT_EQ(told, 1);
}

TEST(SessionProtocol, AnUnknownRequestIsRefusedAndTheSessionGoesOn) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  for (const std::uint16_t opcode : std::vector<std::uint16_t>{8, 15, 18, 127}) {
    const std::optional<Packet> answer = client.Ask(Bare(opcode, 100U + opcode));
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->cookie(), 100U + opcode);
    EXPECT_EQ(answer->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_UNIMPLEMENTED});
  }
  ASSERT_EQ(client.Send(Bare(99, 0)), 0);  // one-way: nobody waits for an answer
  ASSERT_EQ(client.Send(DevicesFrame(1)), 0);
  EXPECT_EQ(client.Receive()->cookie(), 1U);
}

TEST(SessionProtocol, AnotherVersionIsRefusedAndMayBeFollowedByTheRightOne) {
  SessionRig rig;
  RawClient client = RawClient::Connect(rig.path());
  const std::optional<Packet> refused = client.Ask(HelloOf(2));
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_UNIMPLEMENTED});
  EXPECT_EQ(client.Ask(HelloOf(1))->opcode(), HLBUF_WIRE_WELCOME);
}

TEST(SessionProtocol, ReleasesOnlyWhatIsTheSessionsOwn) {
  SessionRig rig;
  RawClient owner = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(owner);
  RawClient other = RawClient::Greeted(rig.path());
  const auto theirs = Allocated(other);
  ASSERT_EQ(other.Send(ReleaseFrame({buffer.lease_id, 0, ~0ULL, buffer.buffer_id})), 0);
  ASSERT_EQ(other.Send(ReleaseFrame({theirs.lease_id, theirs.lease_id})), 0);  // once is enough
  ASSERT_TRUE(other.Ask(DevicesFrame(1)).has_value());
  rig.OnLoop([&](Broker& broker) {
    EXPECT_NE(broker.ledger().FindLease(LeaseId{buffer.lease_id}), nullptr);
    EXPECT_EQ(broker.ledger().FindLease(LeaseId{theirs.lease_id}), nullptr);
  });
  EXPECT_EQ(owner.Ask(OpenFrame(2, {buffer.buffer_id}))->fds.size(), 1U);
}

TEST(SessionProtocol, APongToNothingIsIgnored) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  for (const std::uint64_t nonce : {0ULL, 1ULL, ~0ULL}) ASSERT_EQ(client.Send(PongFrame(nonce)), 0);
  EXPECT_TRUE(client.Ask(DevicesFrame(1)).has_value());
}

std::ptrdiff_t CountDescriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

TEST(SessionProtocol, TakesNoDescriptorsFromAClient) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const int error = client.Send(DevicesFrame(3), {STDERR_FILENO});
  if (error == EPERM) return;  // the kernel does not even let it send them
  EXPECT_EQ(error, 0);
  ExpectBrokenOff(rig, client, 0);
}

// As on a kernel that cannot forbid them (before Linux 6.16).
TEST(SessionProtocol, ClosesTheDescriptorsThatAClientSends) {
  SessionRig rig;
  for (const std::size_t count : {1U, 253U}) {
    PairedClient paired = rig.ConnectByPair();
    ASSERT_EQ(paired.client.Ask(HelloFrame())->opcode(), HLBUF_WIRE_WELCOME);
    const std::ptrdiff_t before = CountDescriptors();
    ASSERT_EQ(paired.client.Send(DevicesFrame(3), std::vector<int>(count, STDERR_FILENO)), 0);
    ExpectBrokenOff(rig, paired.client, 0);
    rig.OnLoop([](Broker&) {});  // it is destroyed from the loop, after it has ended
    EXPECT_EQ(CountDescriptors(), before - 2) << "but for the session's socket and pidfd";
  }
}

}  // namespace
}  // namespace hlbuf
