// SPDX-License-Identifier: Apache-2.0
// Frames that are broken, out of order, or mere nonsense. What is broken ends its session; what is
// nonsense is answered, and the session goes on.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "tests/support/daemon_process.h"

namespace hlbuf {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::uint64_t kCookie = 77;

hlbuf_wire_header& HeaderOf(Bytes& frame) {
  return *reinterpret_cast<hlbuf_wire_header*>(frame.data());
}

class MalformedFrames : public DaemonTest {
 protected:
  MalformedFrames() { Use(); }
  RawClient Connected() { return RawClient::Connect(daemon().client_socket()); }

  // ERROR with the frame's cookie unless that is 0, then GOODBYE, then the end.
  static void ExpectBreaksOff(RawClient client, const Bytes& frame,
                              std::uint64_t cookie = kCookie) {
    ASSERT_EQ(client.Send(frame), 0);
    if (cookie != 0) {
      const std::optional<Packet> error = client.Receive();
      ASSERT_TRUE(error.has_value());
      ASSERT_EQ(error->opcode(), HLBUF_WIRE_ERROR);
      EXPECT_EQ(error->cookie(), cookie);
      EXPECT_EQ(error->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_PROTOCOL_ERROR});
      EXPECT_FALSE(error->text().empty());
    }
    const std::optional<Packet> goodbye = client.Receive();
    ASSERT_TRUE(goodbye.has_value());
    ASSERT_EQ(goodbye->opcode(), HLBUF_WIRE_GOODBYE);
    EXPECT_EQ(goodbye->As<hlbuf_wire_goodbye>().reason, std::uint32_t{HLBUF_WIRE_GOODBYE_PROTOCOL});
    EXPECT_FALSE(goodbye->text().empty());
    EXPECT_FALSE(client.Receive().has_value());
  }
  void ExpectAnswered(const Bytes& frame, hlbuf_wire_status status) {
    RawClient client = Greeted();
    const std::optional<Packet> answer = client.Ask(frame);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->opcode(), HLBUF_WIRE_ERROR);
    EXPECT_EQ(answer->cookie(), kCookie);
    EXPECT_EQ(answer->As<hlbuf_wire_error>().status, static_cast<std::uint32_t>(status))
        << answer->text();
    EXPECT_FALSE(answer->text().empty());
    EXPECT_EQ(client.Ask(DevicesFrame(kCookie + 1))->opcode(), HLBUF_WIRE_DEVICE_LIST)
        << "the session goes on";
  }
  // Sends it and a request behind it. Returns when either is over: the session, or the request.
  static void Survive(RawClient& client, const Bytes& frame) {
    constexpr std::uint64_t kLast = 1'000'000;
    bool ended = client.Send(frame) != 0 || client.Send(DevicesFrame(kLast)) != 0;
    while (!ended) {
      const std::optional<Packet> packet = client.Receive();
      ended = !packet.has_value();
      if (!ended && packet->cookie() == kLast) return;
    }
    client.Close();
  }
  static std::vector<Bytes> Valid() {
    return {HelloFrame(),
            AllocateFrame(2, 4096, "w"),
            OpenFrame(3, {1, 2, 3}),
            OpenNameFrame(4, "w"),
            ReleaseFrame({1, 2}),
            ShareFrame(5, HLBUF_WIRE_SHARE, 1, HLBUF_WIRE_GRANTEE_UID, 7),
            DevicesFrame(6),
            PongFrame(1)};
  }
};

TEST_F(MalformedFrames, ThatLieAboutTheirSizesBreakTheSessionOff) {
  // Without a length that can be believed there is no cookie to answer to.
  Bytes frame = DevicesFrame(kCookie);
  HeaderOf(frame).frame_bytes = 17;
  ExpectBreaksOff(Greeted(), frame, 0);
  frame = DevicesFrame(kCookie);
  HeaderOf(frame).fixed_bytes = 8;
  ExpectBreaksOff(Greeted(), frame, 0);
  HeaderOf(frame).fixed_bytes = 24;
  ExpectBreaksOff(Greeted(), frame, 0);
  frame.resize(20);
  HeaderOf(frame).frame_bytes = HeaderOf(frame).fixed_bytes = 20;  // no multiple of 8
  ExpectBreaksOff(Greeted(), frame, 0);
  frame = AllocateFrame(kCookie, 4096, "weights");
  frame.resize(20);
  ExpectBreaksOff(Greeted(), frame, 0);

  frame = AllocateFrame(kCookie, 4096, "weights");
  HeaderOf(frame).fixed_bytes = 32;  // shorter than the opcode's fixed part
  ExpectBreaksOff(Greeted(), frame);
  frame = DevicesFrame(kCookie);
  frame.resize(24);
  HeaderOf(frame).frame_bytes = 24;  // trailing bytes that nothing counts
  ExpectBreaksOff(Greeted(), frame);
  frame = AllocateFrame(kCookie, 4096, "weights");
  reinterpret_cast<hlbuf_wire_allocate*>(frame.data())->name_bytes = 6;
  ExpectBreaksOff(Greeted(), frame);
}

TEST_F(MalformedFrames, ThatLieAboutTheirCountsBreakTheSessionOff) {
  ExpectBreaksOff(Greeted(), OpenFrame(kCookie, {}));
  ExpectBreaksOff(Greeted(),
                  OpenFrame(kCookie, std::vector<std::uint64_t>(HLBUF_WIRE_BATCH_MAX + 1, 1)));
  Bytes frame = OpenFrame(kCookie, {1, 2});
  reinterpret_cast<hlbuf_wire_open*>(frame.data())->item_count = 3;
  ExpectBreaksOff(Greeted(), frame);
  frame = OpenFrame(kCookie, {1, 2});
  reinterpret_cast<hlbuf_wire_open*>(frame.data())->item_bytes = sizeof(hlbuf_wire_open_item) - 8;
  ExpectBreaksOff(Greeted(), frame);
  frame = OpenNameFrame(kCookie, "weights");
  reinterpret_cast<hlbuf_wire_open_item*>(frame.data() + sizeof(hlbuf_wire_open))->name_offset =
      UINT32_MAX;
  ExpectBreaksOff(Greeted(), frame);
  ExpectBreaksOff(Greeted(), ReleaseFrame({}), 0);
  ExpectBreaksOff(Greeted(), ReleaseFrame(std::vector<std::uint64_t>(HLBUF_WIRE_LEASES_MAX + 1, 1)),
                  0);
}

TEST_F(MalformedFrames, ThatUseWhatIsReservedBreakTheSessionOff) {
  ExpectBreaksOff(Greeted(), ShareFrame(kCookie, HLBUF_WIRE_SHARE, 1, 7, 1000));
  ExpectBreaksOff(Greeted(), MakeFrame<hlbuf_wire_allocate>({.size_bytes = 4096, .flags = 1},
                                                            HLBUF_WIRE_ALLOCATE, kCookie));
  ExpectBreaksOff(Greeted(), MakeFrame<hlbuf_wire_allocate>({.size_bytes = 4096, .reserved = 1},
                                                            HLBUF_WIRE_ALLOCATE, kCookie));
  Bytes frame = OpenFrame(kCookie, {1});
  reinterpret_cast<hlbuf_wire_open_item*>(frame.data() + sizeof(hlbuf_wire_open))->reserved2 = 1;
  ExpectBreaksOff(Greeted(), frame);
}

TEST_F(MalformedFrames, ThatAskButCannotBeAnsweredBreakTheSessionOff) {
  for (const Bytes& frame : {DevicesFrame(0), AllocateFrame(0, 4096), OpenFrame(0, {1})})
    ExpectBreaksOff(Greeted(), frame, 0);
  ExpectBreaksOff(Connected(), HelloFrame(0), 0);
}

TEST_F(MalformedFrames, ThatAreOutOfOrderBreakTheSessionOff) {
  ExpectBreaksOff(Greeted(), HelloFrame(kCookie));
  for (const int opcode : {0, HLBUF_WIRE_WELCOME + 0, HLBUF_WIRE_REVOKE + 0, 0xfffe})
    ExpectBreaksOff(Greeted(), MakeFrame<hlbuf_wire_header>(
                                   {}, static_cast<hlbuf_wire_opcode>(opcode), kCookie));
  for (const Bytes& frame :
       {AllocateFrame(kCookie, 4096), OpenFrame(kCookie, {1}), DevicesFrame(kCookie),
        MakeFrame<hlbuf_wire_header>({}, static_cast<hlbuf_wire_opcode>(99), kCookie)})
    ExpectBreaksOff(Connected(), frame);
  ExpectBreaksOff(Connected(), ReleaseFrame({1}), 0);
  ExpectBreaksOff(Connected(), PongFrame(1), 0);
}

TEST_F(MalformedFrames, ThatAreNonsenseAreAnsweredInWords) {
  ExpectAnswered(AllocateFrame(kCookie, 0), HLBUF_WIRE_INVALID_ARGUMENT);
  ExpectAnswered(AllocateFrame(kCookie, UINT64_MAX), HLBUF_WIRE_INVALID_ARGUMENT);
  ExpectAnswered(AllocateFrame(kCookie, UINT64_MAX - 4095), HLBUF_WIRE_INVALID_ARGUMENT);
  ExpectAnswered(ShareFrame(kCookie, HLBUF_WIRE_SHARE, 12345, HLBUF_WIRE_GRANTEE_UID, 1000),
                 HLBUF_WIRE_NOT_FOUND);
  ExpectAnswered(ShareFrame(kCookie, HLBUF_WIRE_UNSHARE, 12345, HLBUF_WIRE_GRANTEE_GID, 65534),
                 HLBUF_WIRE_INVALID_ARGUMENT);
  for (const int opcode : {8, 15, 18, 99, 127})
    ExpectAnswered(
        MakeFrame<hlbuf_wire_header>({}, static_cast<hlbuf_wire_opcode>(opcode), kCookie),
        HLBUF_WIRE_UNIMPLEMENTED);
}

TEST_F(MalformedFrames, AnotherVersionMayTryAgain) {
  RawClient client = Connected();
  const std::optional<Packet> answer = client.Ask(
      MakeFrame<hlbuf_wire_hello>({.version = HLBUF_WIRE_VERSION + 1}, HLBUF_WIRE_HELLO, kCookie));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_UNIMPLEMENTED});
  EXPECT_EQ(client.Ask(HelloFrame())->opcode(), HLBUF_WIRE_WELCOME);
}

TEST_F(MalformedFrames, OfAnOddSizeGetWholePages) {
  RawClient client = Greeted();
  const std::optional<Packet> made = client.Ask(AllocateFrame(2, 4097));
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(made->As<hlbuf_wire_allocated>().size_bytes, 8192U);
}

TEST_F(MalformedFrames, CutAnywhereNeverHurtTheDaemon) {
  RawClient client;
  for (const Bytes& valid : Valid())
    for (std::size_t size = 0; size < valid.size(); ++size) {
      Bytes frame(valid.begin(), valid.begin() + static_cast<std::ptrdiff_t>(size));
      // With the length that it pretends to have, and with the one that it has.
      for (const bool honest : {false, true}) {
        const auto bytes = static_cast<std::uint32_t>(size);
        const auto* const first = reinterpret_cast<const std::byte*>(&bytes);
        if (honest) std::copy_n(first, std::min(size, sizeof(bytes)), frame.begin());
        if (!client) client = Greeted();
        Survive(client, frame);
      }
    }
}

TEST_F(MalformedFrames, ChangedAtRandomNeverHurtTheDaemon) {
  const std::vector<Bytes> valid = Valid();
  std::mt19937 random(20'261);  // the same every time
  RawClient client;
  for (int i = 0; i < 2000; ++i) {
    if (!client) client = i % 8 == 0 ? Connected() : Greeted();
    Bytes frame = valid[random() % valid.size()];
    for (std::uint32_t changes = 1 + random() % 4; changes > 0; --changes)
      frame[random() % frame.size()] = static_cast<std::byte>(random());
    if (random() % 4 == 0) frame.resize(random() % (frame.size() + 1));
    Survive(client, frame);
  }
}

class MalformedFramesOfOne : public DaemonTest {};

TEST_F(MalformedFramesOfOne, FillNoLog) {
  Start();
  for (int i = 0; i < 1000; ++i) {
    RawClient client = Greeted();
    ASSERT_EQ(client.Send(Bytes(17)), 0);
    EXPECT_EQ(client.DrainToEnd(), HLBUF_WIRE_GOODBYE);
  }
  const std::string log = daemon().Log();
  EXPECT_NE(log.find("PROTOCOL_BROKEN"), std::string::npos) << log;
  EXPECT_LT(std::count(log.begin(), log.end(), '\n'), 60) << log;
}

}  // namespace
}  // namespace hlbuf
