// SPDX-License-Identifier: Apache-2.0
// What is written is read back with the layout of proto/hlbuf_wire.h, as a client does.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"
#include "daemon/session/codec.h"
#include "tests/support/fake_backend.h"
#include "tests/support/fake_clock.h"
#include "tests/support/raw_client.h"

namespace hlbuf {
namespace {

class EncodeTest : public testing::Test {
 protected:
  // As it would arrive; its sizes are checked.
  static Packet Sent(Frame frame, hlbuf_wire_opcode opcode, std::size_t fixed_bytes) {
    Packet packet = {.bytes = {frame.begin(), frame.end()}};
    EXPECT_LE(frame.size(), std::size_t{HLBUF_WIRE_FRAME_BYTES_MAX});
    EXPECT_EQ(packet.header().frame_bytes, frame.size());
    EXPECT_EQ(packet.header().fixed_bytes, fixed_bytes);
    EXPECT_EQ(packet.opcode(), opcode);
    return packet;
  }
  template <class Fixed>
  static Packet Sent(Frame frame, hlbuf_wire_opcode opcode) {
    return Sent(frame, opcode, sizeof(Fixed));
  }

  FrameWriter writer_;
};

std::string TextAt(const Packet& packet, std::size_t from, std::size_t bytes) {
  EXPECT_LE(from + bytes, packet.bytes.size());
  return {reinterpret_cast<const char*>(packet.bytes.data()) + from, bytes};
}

std::string TextOf(const Packet& opened, std::size_t index) {
  const auto item = opened.ItemAt<hlbuf_wire_opened_item>(index);
  const std::size_t texts =
      opened.header().fixed_bytes + opened.As<hlbuf_wire_opened>().item_count * sizeof(item);
  return TextAt(opened, texts + item.text_offset, item.text_bytes);
}

Grant GrantOf(std::uint64_t n) {
  return {.buffer = BufferId{n},
          .lease = LeaseId{n + 1},
          .size_bytes = n + 2,
          .epoch = n + 3,
          .epoch_slot = static_cast<std::uint32_t>(n + 4)};
}

TEST_F(EncodeTest, Welcome) {
  const Packet packet = Sent<hlbuf_wire_welcome>(
      writer_.Welcome(42, HLBUF_WIRE_WELCOME,
                      {.session = SessionId{7},
                       .features = 5,
                       .batch_max = 250,
                       .requests_max = 16,
                       .secret = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}}),
      HLBUF_WIRE_WELCOME);
  const auto welcome = packet.As<hlbuf_wire_welcome>();
  EXPECT_EQ(packet.cookie(), 42U);
  EXPECT_EQ(welcome.version, 1U);
  EXPECT_EQ(welcome.batch_max, 250U);
  EXPECT_EQ(welcome.features, 5U);
  EXPECT_EQ(welcome.session_id, 7U);
  EXPECT_EQ(welcome.frame_bytes_max, 32'768U);
  EXPECT_EQ(welcome.requests_max, 16U);
  for (std::size_t i = 0; i < sizeof(welcome.secret); ++i) EXPECT_EQ(welcome.secret[i], i + 1);
}

TEST_F(EncodeTest, Allocated) {
  const Packet packet =
      Sent<hlbuf_wire_allocated>(writer_.Allocated(43, GrantOf(100)), HLBUF_WIRE_ALLOCATED);
  const auto allocated = packet.As<hlbuf_wire_allocated>();
  EXPECT_EQ(packet.cookie(), 43U);
  EXPECT_EQ(allocated.buffer_id, 100U);
  EXPECT_EQ(allocated.lease_id, 101U);
  EXPECT_EQ(allocated.size_bytes, 102U);
  EXPECT_EQ(allocated.epoch, 103U);
  EXPECT_EQ(allocated.epoch_slot, 104U);
}

TEST_F(EncodeTest, OpenedItemByItem) {
  const std::vector<absl::StatusOr<Grant>> results = {
      GrantOf(100), Error(ErrorCode::kNotFound, "there is no buffer 9"), GrantOf(200),
      Error(ErrorCode::kGone, "buffer 8 was freed")};
  const Packet packet = Sent<hlbuf_wire_opened>(writer_.Opened(3, results), HLBUF_WIRE_OPENED);
  const auto opened = packet.As<hlbuf_wire_opened>();
  EXPECT_EQ(opened.item_count, 4U);
  EXPECT_EQ(opened.item_bytes, sizeof(hlbuf_wire_opened_item));
  EXPECT_EQ(opened.fd_count, 2U);
  const auto second = packet.ItemAt<hlbuf_wire_opened_item>(2);
  EXPECT_EQ(second.status, 0U);
  EXPECT_EQ(second.buffer_id, 200U);
  EXPECT_EQ(second.lease_id, 201U);
  EXPECT_EQ(second.size_bytes, 202U);
  EXPECT_EQ(second.epoch, 203U);
  EXPECT_EQ(second.epoch_slot, 204U);
  const auto refused = packet.ItemAt<hlbuf_wire_opened_item>(1);
  EXPECT_EQ(refused.status, std::uint32_t{HLBUF_WIRE_NOT_FOUND});
  EXPECT_EQ(refused.buffer_id + refused.lease_id + refused.size_bytes + refused.epoch, 0U);
  EXPECT_EQ(TextOf(packet, 1), "there is no buffer 9");
  EXPECT_EQ(TextOf(packet, 3), "buffer 8 was freed");
}

TEST_F(EncodeTest, OpenedHasRoomForALargestBatchOfRefusals) {
  const std::string text(1000, 'x');
  const std::vector<absl::StatusOr<Grant>> results(
      HLBUF_WIRE_BATCH_MAX, absl::StatusOr<Grant>(Error(ErrorCode::kPermissionDenied, text)));
  const Packet packet = Sent<hlbuf_wire_opened>(writer_.Opened(3, results), HLBUF_WIRE_OPENED);
  EXPECT_EQ(packet.As<hlbuf_wire_opened>().fd_count, 0U);
  const std::size_t each = (HLBUF_WIRE_FRAME_BYTES_MAX - sizeof(hlbuf_wire_opened) -
                            HLBUF_WIRE_BATCH_MAX * sizeof(hlbuf_wire_opened_item)) /
                           HLBUF_WIRE_BATCH_MAX;
  EXPECT_EQ(each, 73U);
  for (std::size_t i = 0; i < results.size(); ++i)
    ASSERT_EQ(TextOf(packet, i), text.substr(0, each)) << "item " << i;
}

TEST_F(EncodeTest, OpenedSharesItsRoomAmongThoseThatNeedIt) {
  const std::string text(9'000, 'x');
  std::vector<absl::StatusOr<Grant>> results(HLBUF_WIRE_BATCH_MAX, GrantOf(1));
  results[7] = results[200] = Error(ErrorCode::kPermissionDenied, text);
  const Packet packet = Sent<hlbuf_wire_opened>(writer_.Opened(3, results), HLBUF_WIRE_OPENED);
  EXPECT_EQ(TextOf(packet, 7), text);
  EXPECT_EQ(TextOf(packet, 200), text);
}

TEST_F(EncodeTest, OpenedOfALargestBatchOfGrants) {
  std::vector<absl::StatusOr<Grant>> results;
  for (std::uint64_t i = 0; i < HLBUF_WIRE_BATCH_MAX; ++i) results.emplace_back(GrantOf(i));
  const Packet packet = Sent<hlbuf_wire_opened>(writer_.Opened(3, results), HLBUF_WIRE_OPENED);
  EXPECT_EQ(packet.As<hlbuf_wire_opened>().fd_count, HLBUF_WIRE_BATCH_MAX);
  EXPECT_EQ(packet.ItemAt<hlbuf_wire_opened_item>(252).lease_id, 253U);
}

TEST_F(EncodeTest, BareAnswers) {
  for (const auto opcode : {HLBUF_WIRE_SHARED, HLBUF_WIRE_UNSHARED}) {
    const Packet packet = Sent<hlbuf_wire_header>(writer_.Bare(9, opcode), opcode);
    EXPECT_EQ(packet.cookie(), 9U);
    EXPECT_EQ(packet.bytes.size(), sizeof(hlbuf_wire_header));
  }
}

TEST_F(EncodeTest, ErrorWithEveryCode) {
  for (std::uint32_t code = 1; code <= 14; ++code) {
    const absl::Status status = Error(static_cast<ErrorCode>(code), absl::StrCat("text ", code));
    const Packet packet = Sent<hlbuf_wire_error>(writer_.Error(9, status), HLBUF_WIRE_ERROR);
    EXPECT_EQ(packet.cookie(), 9U);
    EXPECT_EQ(packet.As<hlbuf_wire_error>().status, code);
    EXPECT_EQ(packet.As<hlbuf_wire_error>().text_bytes, packet.text().size());
    EXPECT_EQ(packet.text(), absl::StrCat("text ", code));
  }
}

TEST_F(EncodeTest, CutsATextThatIsLongerThanAFrame) {
  const std::string text(100'000, 'x');
  const Packet error = Sent<hlbuf_wire_error>(
      writer_.Error(9, Error(ErrorCode::kDeviceError, text)), HLBUF_WIRE_ERROR);
  EXPECT_EQ(error.bytes.size(), std::size_t{HLBUF_WIRE_FRAME_BYTES_MAX});
  EXPECT_EQ(error.As<hlbuf_wire_error>().text_bytes, error.text().size());
  const Packet goodbye = Sent<hlbuf_wire_goodbye>(
      writer_.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, false, text), HLBUF_WIRE_GOODBYE);
  EXPECT_EQ(goodbye.As<hlbuf_wire_goodbye>().text_bytes, goodbye.text().size());
}

TEST_F(EncodeTest, RevokeOfALargestBatch) {
  std::vector<RevokedLease> leases;
  for (std::uint64_t i = 0; i < HLBUF_WIRE_LEASES_MAX; ++i)
    leases.push_back({.lease = LeaseId{i + 1}, .buffer = BufferId{i + 5000}});
  const Packet packet = Sent<hlbuf_wire_revoke>(
      writer_.Revoke(RevokeReason::kUnshared, absl::FromUnixNanos(123'456'789), leases),
      HLBUF_WIRE_REVOKE);
  const auto revoke = packet.As<hlbuf_wire_revoke>();
  EXPECT_EQ(packet.cookie(), 0U);
  EXPECT_EQ(revoke.reason, std::uint32_t{HLBUF_WIRE_REVOKE_UNSHARED});
  EXPECT_EQ(revoke.lease_count, std::uint32_t{HLBUF_WIRE_LEASES_MAX});
  EXPECT_EQ(revoke.deadline_boottime_ns, 123'456'789U);
  EXPECT_EQ(revoke.item_bytes, sizeof(hlbuf_wire_revoked_lease));
  EXPECT_EQ(packet.bytes.size(), sizeof(hlbuf_wire_revoke) + 1024 * 16U);
  const auto last = packet.ItemAt<hlbuf_wire_revoked_lease>(1023);
  EXPECT_EQ(last.lease_id, 1024U);
  EXPECT_EQ(last.buffer_id, 6023U);
}

TEST_F(EncodeTest, DeviceInEveryState) {
  const std::vector<std::pair<DeviceState, hlbuf_wire_device_state>> states = {
      {DeviceState::kAbsent, HLBUF_WIRE_DEVICE_ABSENT},
      {DeviceState::kOpening, HLBUF_WIRE_DEVICE_OPENING},
      {DeviceState::kReady, HLBUF_WIRE_DEVICE_READY},
      {DeviceState::kRevoking, HLBUF_WIRE_DEVICE_REVOKING},
      {DeviceState::kClosing, HLBUF_WIRE_DEVICE_CLOSING},
      {DeviceState::kResetting, HLBUF_WIRE_DEVICE_RESETTING},
      {DeviceState::kFailed, HLBUF_WIRE_DEVICE_FAILED},
      {DeviceState::kDrained, HLBUF_WIRE_DEVICE_DRAINED}};
  for (const auto& [state, wire] : states) {
    const Packet packet =
        Sent<hlbuf_wire_device>(writer_.Device("accel0", state, 77), HLBUF_WIRE_DEVICE);
    EXPECT_EQ(packet.As<hlbuf_wire_device>().state, std::uint32_t{wire});
    EXPECT_EQ(packet.As<hlbuf_wire_device>().epoch, 77U);
    EXPECT_EQ(packet.As<hlbuf_wire_device>().name_bytes, 6U);
    EXPECT_EQ(packet.text(), "accel0");
  }
}

TEST_F(EncodeTest, Ping) {
  const Packet packet = Sent<hlbuf_wire_ping>(writer_.Ping(99), HLBUF_WIRE_PING);
  EXPECT_EQ(packet.As<hlbuf_wire_ping>().nonce, 99U);
  EXPECT_EQ(packet.cookie(), 0U);
}

TEST_F(EncodeTest, Goodbye) {
  const Packet packet = Sent<hlbuf_wire_goodbye>(
      writer_.Goodbye(HLBUF_WIRE_GOODBYE_QUOTA, true, "too many"), HLBUF_WIRE_GOODBYE);
  EXPECT_EQ(packet.As<hlbuf_wire_goodbye>().reason, std::uint32_t{HLBUF_WIRE_GOODBYE_QUOTA});
  EXPECT_EQ(packet.As<hlbuf_wire_goodbye>().leases_kept, 1U);
  EXPECT_EQ(packet.text(), "too many");
}

TEST_F(EncodeTest, LeavesNothingOfTheLastFrameInTheNext) {
  writer_.Error(9, Error(ErrorCode::kDeviceError, std::string(30'000, '\xff')));
  const Packet packet =
      Sent<hlbuf_wire_welcome>(writer_.Welcome(0, HLBUF_WIRE_WELCOME, {}), HLBUF_WIRE_WELCOME);
  EXPECT_EQ(packet.As<hlbuf_wire_welcome>().session_id, 0U);
  EXPECT_EQ(packet.As<hlbuf_wire_welcome>().features, 0U);
  EXPECT_EQ(packet.bytes.size(), sizeof(hlbuf_wire_welcome));
}

class DeviceListTest : public EncodeTest {
 protected:
  class Silent final : public Observer {
    void OnEvent(const Event&) override {}
  };
  Broker MakeBroker(std::string default_device = "") {
    BrokerSettings settings = {.default_device = std::move(default_device)};
    settings.limits.service.fill(kUnlimited);
    return Broker(settings, Policy({}, {}), clock_, observer_);
  }
  FakeClock clock_;
  Silent observer_;
};

std::string NameAt(const Packet& list, std::size_t index) {
  const auto item = list.ItemAt<hlbuf_wire_device_item>(index);
  const std::size_t texts =
      list.header().fixed_bytes + list.As<hlbuf_wire_device_list>().item_count * sizeof(item);
  return absl::StrCat(TextAt(list, texts + item.name_offset, item.name_bytes), " ",
                      TextAt(list, texts + item.name_offset + item.name_bytes, item.kind_bytes));
}

TEST_F(DeviceListTest, ShowsWhatADeviceIsAndCan) {
  Broker broker = MakeBroker("second");
  broker.AddDevice("first", std::make_unique<FakeBackend>(BackendTraits{
                                .kind = "udmabuf", .page_bytes = 8192, .cpu_map = true}));
  broker.AddDevice("second", std::make_unique<FakeBackend>(BackendTraits{
                                 .kind = "software", .total_bytes = 1 << 20, .simulated = true}));
  const Packet packet =
      Sent<hlbuf_wire_device_list>(writer_.DeviceList(6, broker), HLBUF_WIRE_DEVICE_LIST);
  EXPECT_EQ(packet.cookie(), 6U);
  EXPECT_EQ(packet.As<hlbuf_wire_device_list>().item_count, 2U);
  const auto first = packet.ItemAt<hlbuf_wire_device_item>(0);
  EXPECT_EQ(first.page_bytes, 8192U);
  EXPECT_EQ(first.total_bytes, 0U);
  EXPECT_EQ(first.epoch, 1U);
  EXPECT_EQ(first.state, std::uint32_t{HLBUF_WIRE_DEVICE_OPENING});
  EXPECT_EQ(first.flags, std::uint32_t{HLBUF_WIRE_DEVICE_CPU_MAP});
  EXPECT_EQ(NameAt(packet, 0), "first udmabuf");
  const auto second = packet.ItemAt<hlbuf_wire_device_item>(1);
  EXPECT_EQ(second.total_bytes, 1U << 20);
  EXPECT_EQ(second.flags, std::uint32_t{HLBUF_WIRE_DEVICE_DEFAULT | HLBUF_WIRE_DEVICE_SIMULATED});
  EXPECT_EQ(NameAt(packet, 1), "second software");
}

TEST_F(DeviceListTest, MayBeEmpty) {
  const Broker broker = MakeBroker();
  const Packet packet =
      Sent<hlbuf_wire_device_list>(writer_.DeviceList(6, broker), HLBUF_WIRE_DEVICE_LIST);
  EXPECT_EQ(packet.As<hlbuf_wire_device_list>().item_count, 0U);
}

TEST_F(DeviceListTest, HasAsManyDevicesAsFit) {
  Broker broker = MakeBroker();
  for (int i = 100; i < 500; ++i)
    broker.AddDevice(absl::StrCat(std::string(60, 'n'), i),
                     std::make_unique<FakeBackend>(BackendTraits{.kind = std::string(63, 'k')}));
  const Packet packet =
      Sent<hlbuf_wire_device_list>(writer_.DeviceList(6, broker), HLBUF_WIRE_DEVICE_LIST);
  const std::size_t count = packet.As<hlbuf_wire_device_list>().item_count;
  EXPECT_EQ(count, 188U);
  EXPECT_EQ(NameAt(packet, count - 1),
            absl::StrCat(std::string(60, 'n'), 100 + count - 1, " ", std::string(63, 'k')));
}

}  // namespace
}  // namespace hlbuf
