// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/listings.h"

#include <gtest/gtest.h>

#include "client/ctl/json.h"

namespace hlbuf::ctl {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1000);

TEST(Listings, ShowADevice) {
  v1::ListDevicesResponse response;
  v1::Device& device = *response.add_devices();
  device.set_name("software0");
  device.set_kind("software");
  device.set_state(v1::DEVICE_STATE_READY);
  device.set_epoch(1);
  device.set_used_bytes(4096);
  device.set_buffer_bytes_max(1 << 30);
  device.set_is_default(true);
  device.set_can_drill(true);
  EXPECT_EQ(
      TableText(response, kNow),
      "NAME       KIND      STATE  EPOCH  USED  TOTAL  LARGEST  NOTE\n"
      "software0  software  READY  1      4KiB  -      1GiB     default, takes drills, counts no "
      "references\n");
}

TEST(Listings, ShowWhatADeviceWarnsOf) {
  v1::ListDevicesResponse response;
  v1::Device& device = *response.add_devices();
  device.set_name("gaudi0");
  device.set_counts_references(true);
  device.set_warning("the opener died");
  EXPECT_NE(TableText(response, kNow).find("  the opener died\n"), std::string::npos);
}

TEST(Listings, SayBelowTheTableWhatIsReserved) {
  v1::ListDevicesResponse response;
  v1::Device& device = *response.add_devices();
  device.set_name("gaudi0");
  EXPECT_EQ(TableText(response, kNow).find("reserved"), std::string::npos);
  device.set_reserved_bytes(4096);
  device.set_reserved_hint("reset the card");
  EXPECT_NE(TableText(response, kNow)
                .find("\ngaudi0: 4KiB are free, but reserved to domains whose bytes are still "
                      "there; reset the card\n"),
            std::string::npos);
}

TEST(Listings, ShowWhoDrainedADevice) {
  v1::ListDevicesResponse response;
  v1::Device& device = *response.add_devices();
  device.set_name("dev0");
  device.set_state(v1::DEVICE_STATE_DRAINED);
  device.set_counts_references(true);
  device.set_drained_by("uid 0, pid 77");
  device.mutable_drained_time()->set_seconds(808);
  const std::string text = TableText(response, kNow);
  EXPECT_NE(text.find("DRAINED"), std::string::npos) << text;
  EXPECT_NE(text.find("drained by uid 0, pid 77 3m12s ago"), std::string::npos) << text;
}

TEST(Listings, ShowABufferThatSomebodyKept) {
  v1::ListBuffersResponse response;
  v1::Buffer& buffer = *response.add_buffers();
  buffer.set_id("a1");
  buffer.set_device("dev0");
  buffer.set_state(v1::BUFFER_STATE_DRAINING);
  buffer.set_size_bytes(8192);
  buffer.mutable_owner()->set_uid(1000);
  buffer.add_shares()->set_uid(1001);
  buffer.add_shares()->set_gid(7);
  buffer.mutable_create_time()->set_seconds(808);
  buffer.set_references(2);
  buffer.set_revoke_reason(v1::REVOKE_REASON_OPERATOR);
  buffer.mutable_verdict()->set_kind(v1::VERDICT_KIND_HELD);
  EXPECT_EQ(
      TableText(response, kNow),
      "ID  NAME  DEVICE  STATE     SIZE  OWNER     SHARED WITH      LEASES  AGE    NOTE\n"
      "a1  -     dev0    DRAINING  8KiB  uid 1000  uid 1001, gid 7  0       3m12s  asked back: "
      "operator, HELD, 2 references\n");
}

TEST(Listings, ShowABufferThatAResetTook) {
  v1::ListBuffersResponse response;
  v1::Buffer& buffer = *response.add_buffers();
  buffer.set_state(v1::BUFFER_STATE_FREED);
  buffer.mutable_given_up_time()->set_seconds(808);
  buffer.mutable_verdict()->set_kind(v1::VERDICT_KIND_HELD);
  const std::string text = TableText(response, kNow);
  EXPECT_NE(text.find("FREED"), std::string::npos) << text;
  EXPECT_NE(text.find("HELD, given up in a reset"), std::string::npos) << text;
}

TEST(Listings, ShowALeaseAndItsShare) {
  v1::ListLeasesResponse response;
  v1::Lease& lease = *response.add_leases();
  lease.set_id("c1");
  lease.set_buffer_id("a1");
  lease.set_session_id("b1");
  lease.set_device("dev0");
  lease.set_state(v1::LEASE_STATE_OVERDUE);
  lease.mutable_holder()->set_uid(1001);
  lease.mutable_holder()->set_pid(42);
  lease.mutable_create_time()->set_seconds(999);
  lease.mutable_share()->set_uid(1001);
  EXPECT_EQ(TableText(response, kNow),
            "ID  BUFFER  NAME  DEVICE  STATE    HOLDER           SESSION  BY SHARE  AGE\n"
            "c1  a1      -     dev0    OVERDUE  uid 1001 pid 42  b1       uid 1001  1s\n");
}

TEST(Listings, ShowASessionThatDoesNotAnswer) {
  v1::ListSessionsResponse response;
  v1::Session& session = *response.add_sessions();
  session.set_id("b1");
  session.set_state(v1::SESSION_STATE_READY);
  session.set_client("\x1b]0;root\x07");
  session.mutable_create_time()->set_seconds(1000);
  session.mutable_unanswered_ping_time()->set_seconds(960);
  session.set_in_flight_fds(3);
  EXPECT_EQ(TableText(response, kNow),
            "ID  CLIENT           STATE  PEER         UNIT  LEASES  AGE  NOTE\n"
            "b1  \\x1b]0;root\\x07  READY  uid 0 pid 0  -     0       0s   3 descriptors in "
            "flight, silent for 40s\n");
}

TEST(JsonDocument, IsAListAlsoWhenItIsEmpty) {
  EXPECT_EQ(JsonDocument(v1::ListBuffersResponse()),
            "{\n \"buffers\": [],\n \"next_page_token\": \"\"\n}\n");
}

TEST(JsonDocument, HasTheNamesOfTheProtoFilesAndExactSizes) {
  v1::Buffer buffer;
  buffer.set_size_bytes((1ULL << 53) + 1);
  EXPECT_NE(JsonDocument(buffer).find("\"size_bytes\": \"9007199254740993\""), std::string::npos);
}

}  // namespace
}  // namespace hlbuf::ctl
