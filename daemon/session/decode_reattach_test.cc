// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "daemon/core/error.h"
#include "daemon/session/codec.h"
#include "daemon/session/reattach_parts.h"
#include "tests/support/raw_client.h"

namespace hlbuf {
namespace {

using Bytes = std::vector<std::byte>;

const ReattachAsk kAsk = {
    .session = 7, .secret = {1, 2, 3}, .leases = {11, 12, 13}, .cookies = {21, 22}, .more = true};

Bytes With(const std::function<void(hlbuf_wire_reattach&)>& change) {
  Bytes frame = ReattachFrame(5, kAsk);
  change(*reinterpret_cast<hlbuf_wire_reattach*>(frame.data()));
  return frame;
}

bool IsBroken(const Bytes& frame) {
  const absl::Status status = DecodeReattach(frame).status();
  return !status.ok() && ErrorCodeOf(status) == ErrorCode::kProtocolError;
}

TEST(DecodeReattach, ReadsItsFields) {
  const ReattachPart part = *DecodeReattach(ReattachFrame(5, kAsk));
  EXPECT_EQ(part.hello.version, std::uint32_t{HLBUF_WIRE_VERSION});
  EXPECT_EQ(part.hello.features, std::uint64_t{HLBUF_WIRE_FEATURE_REATTACH});
  EXPECT_EQ(part.hello.client, "raw");
  EXPECT_EQ(part.asked.session, SessionId{7});
  EXPECT_EQ(part.asked.secret.bytes, (std::array<std::uint8_t, 16>{1, 2, 3}));
  EXPECT_EQ(part.asked.held, (std::vector<LeaseId>{{11}, {12}, {13}}));
  EXPECT_EQ(part.asked.unanswered, (std::vector<std::uint64_t>{21, 22}));
  EXPECT_TRUE(part.more);
}

TEST(DecodeReattach, MayNameNothing) {
  const ReattachPart part = *DecodeReattach(ReattachFrame(5, {.session = 7}));
  EXPECT_TRUE(part.asked.held.empty());
  EXPECT_TRUE(part.asked.unanswered.empty());
  EXPECT_FALSE(part.more);
}

TEST(DecodeReattach, RefusesWhatIsReserved) {
  EXPECT_TRUE(IsBroken(With([](hlbuf_wire_reattach& f) { f.reserved = 1; })));
  EXPECT_TRUE(IsBroken(With([](hlbuf_wire_reattach& f) { f.flags |= 2; })));
}

TEST(DecodeReattach, RefusesCountsThatDoNotFit) {
  for (const int by : {-1, 1}) {
    EXPECT_TRUE(IsBroken(With([by](hlbuf_wire_reattach& f) { f.lease_count += by; })));
    EXPECT_TRUE(IsBroken(With([by](hlbuf_wire_reattach& f) { f.cookie_count += by; })));
    EXPECT_TRUE(IsBroken(With([by](hlbuf_wire_reattach& f) { f.client_bytes += by; })));
  }
  EXPECT_TRUE(IsBroken(With([](hlbuf_wire_reattach& f) { f.lease_count = UINT32_MAX; })));
  EXPECT_TRUE(IsBroken(With([](hlbuf_wire_reattach& f) { f.client_bytes = UINT32_MAX; })));
  EXPECT_TRUE(IsBroken(With(
      [](hlbuf_wire_reattach& f) { f.header.fixed_bytes = sizeof(hlbuf_wire_reattach) - 8; })));
}

TEST(DecodeReattach, TakesALargestPartAndRefusesALargerOne) {
  ReattachAsk ask;
  ask.leases.resize(HLBUF_WIRE_LEASES_MAX);
  ask.cookies.resize(HLBUF_WIRE_COOKIES_MAX);
  EXPECT_TRUE(DecodeReattach(ReattachFrame(5, ask)).ok());
  ask.leases.push_back(1);
  EXPECT_TRUE(IsBroken(ReattachFrame(5, ask)));
  ask.leases.pop_back();
  ask.cookies.push_back(1);
  EXPECT_TRUE(IsBroken(ReattachFrame(5, ask)));
}

TEST(DecodeReattach, SurvivesAnyByteAnywhere) {
  const Bytes good = ReattachFrame(5, kAsk);
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
      Bytes frame = good;
      frame[at] = static_cast<std::byte>(value);
      if (DecodeHeader(frame).ok()) static_cast<void>(DecodeReattach(frame));
    }
  }
}

TEST(ReattachParts, AreOneRequest) {
  ReattachParts parts(5, 4);
  ASSERT_TRUE(parts.Add(5, *DecodeReattach(ReattachFrame(5, kAsk))).ok());
  ReattachAsk last = kAsk;
  last.leases = {14};
  last.cookies = {23};
  ASSERT_TRUE(parts.Add(5, *DecodeReattach(ReattachFrame(5, last))).ok());
  EXPECT_EQ(parts.asked().held, (std::vector<LeaseId>{{11}, {12}, {13}, {14}}));
  EXPECT_EQ(parts.asked().unanswered, (std::vector<std::uint64_t>{21, 22, 23}));
  EXPECT_EQ(ErrorCodeOf(parts.Add(5, *DecodeReattach(ReattachFrame(5, last)))),
            ErrorCode::kQuotaExceeded);
}

}  // namespace
}  // namespace hlbuf
