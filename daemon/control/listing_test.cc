// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/listing.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "daemon/control/page.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

namespace v1 = hlbuf::v1;
using Ids = std::vector<std::string>;

const Caller kViewer = {.peer = PeerOf(2001), .role = Role::kViewer};
Caller UserOf(uid_t uid, std::string container = "") {
  return {.peer = PeerOf(uid, std::move(container)), .role = Role::kNone};
}
Caller Nobody() {
  Caller caller = UserOf(1000);
  caller.peer.pid = 0;
  return caller;
}

template <class List>
Ids IdsOf(const List& list) {
  Ids ids;
  for (const auto& item : list) ids.push_back(item.id());
  return ids;
}

Ids Texts(const std::vector<BufferId>& buffers) {
  Ids ids;
  for (const BufferId id : buffers) ids.push_back(IdText(id));
  return ids;
}

// Two owners with two buffers each on two devices; 1001 has opened the first buffer of 1000.
class Listing : public testing::Test {
 protected:
  Listing() {
    rig.AddDevice("fake1", FakeBackend::DefaultTraits());
    rig.Run();
    buffers = {rig.Buffer(alice, "a1"), rig.Buffer(bob, "b1")};
    EXPECT_EQ(alice.TryAllocate({.size_bytes = kPage, .name = "a2", .device = "fake1"}), "OK");
    EXPECT_EQ(bob.TryAllocate({.size_bytes = kPage, .name = "b2", .device = "fake1"}), "OK");
    buffers.clear();
    for (const auto& [id, record] : rig.broker.ledger().registry.in_order()) buffers.push_back(id);
    alice.Share(buffers[0], {.kind = Grantee::Kind::kUid, .id = 1001});
    EXPECT_TRUE(bob.Open(buffers[0]).ok());
  }

  Ids Buffers(const Caller& caller, const v1::ListBuffersRequest& request = {}) {
    return IdsOf(ListBuffers(rig.broker, caller, request)->buffers());
  }
  Ids Sessions(const Caller& caller, const v1::ListSessionsRequest& request = {}) {
    return IdsOf(ListSessions(rig.broker, caller, request)->sessions());
  }
  std::size_t Leases(const Caller& caller, const v1::ListLeasesRequest& request = {}) {
    return IdsOf(ListLeases(rig.broker, caller, request)->leases()).size();
  }
  std::string Get(const Caller& caller, BufferId id) {
    v1::GetBufferRequest request;
    request.set_id(IdText(id));
    return CodeOf(GetBuffer(rig.broker, caller, request));
  }

  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  std::vector<BufferId> buffers;  // of alice, bob, alice, bob
};

TEST_F(Listing, ShowsAViewerEverything) {
  EXPECT_EQ(Buffers(kViewer), Texts(buffers));
  EXPECT_EQ(Leases(kViewer), 5u);
  EXPECT_EQ(Sessions(kViewer).size(), 2u);
  EXPECT_EQ(ListDevices(rig.broker, kViewer, {})->devices_size(), 2);
}

TEST_F(Listing, ShowsACallerWithoutARoleWhatIsItsOwn) {
  EXPECT_EQ(Buffers(UserOf(1000)), Texts({buffers[0], buffers[2]}));
  EXPECT_EQ(Sessions(UserOf(1000)), Ids{IdText(alice.session().id)});
  EXPECT_EQ(Buffers(UserOf(1000, "c0ffee")), Ids());
  EXPECT_EQ(Buffers(UserOf(1002)), Ids());
  EXPECT_EQ(Sessions(UserOf(1002)), Ids());
  EXPECT_EQ(Leases(UserOf(1002)), 0u);
  EXPECT_EQ(ListDevices(rig.broker, UserOf(1002), {})->devices_size(), 2);
}

TEST_F(Listing, ShowsABufferToWhoeverHoldsIt) {
  EXPECT_EQ(Buffers(UserOf(1001)), Texts({buffers[0], buffers[1], buffers[3]}));
  EXPECT_EQ(Get(UserOf(1001), buffers[0]), "OK");
  EXPECT_EQ(Get(UserOf(1001), buffers[2]), "NOT_FOUND");
}

TEST_F(Listing, ShowsTheLeasesOfOnesOwnBuffersWhoeverHasThem) {
  EXPECT_EQ(Leases(UserOf(1000)), 3u);  // two of its own, and bob's
  EXPECT_EQ(Leases(UserOf(1001)), 3u);  // its own
}

TEST_F(Listing, ShowsNobodyNothing) {
  EXPECT_EQ(Buffers(Nobody()), Ids());
  EXPECT_EQ(Sessions(Nobody()), Ids());
  EXPECT_EQ(Leases(Nobody()), 0u);
  EXPECT_EQ(ListDevices(rig.broker, Nobody(), {})->devices_size(), 0);
  EXPECT_EQ(Get(Nobody(), buffers[0]), "NOT_FOUND");
  v1::GetDeviceRequest device;
  device.set_name("fake0");
  EXPECT_EQ(CodeOf(GetDevice(rig.broker, Nobody(), device)), "NOT_FOUND");
}

// A device whose memory goes with a reset, and does not come back from this one.
struct LostListing : testing::Test {
  LostListing() : rig(Options()) {
    for (const BufferId id : {first, lost}) rig.Hold(id, 1);
    EXPECT_EQ(rig.Revoke({gone}, absl::ZeroDuration()), "OK");
    rig.Run();
    rig.Reset(absl::ZeroDuration(), Drill::kFails);
    rig.Advance(absl::Milliseconds(1));
  }
  static RigOptions Options() {
    RigOptions options;
    options.traits.survives_reset = false;
    return options;
  }
  Ids Buffers(const Caller& caller, const v1::ListBuffersRequest& request = {}) {
    return IdsOf(ListBuffers(rig.broker, caller, request)->buffers());
  }

  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  BufferId first = rig.Buffer(alice, "a1");
  BufferId gone = rig.Buffer(alice);
  BufferId lost = rig.Buffer(alice, "a2");
};

TEST_F(LostListing, ShowsWhatWasGivenUpWithItsInode) {
  v1::GetBufferRequest request;
  request.set_id(IdText(lost));
  const v1::Buffer buffer = *GetBuffer(rig.broker, kViewer, request);
  EXPECT_EQ(buffer.state(), v1::BUFFER_STATE_FREED);
  EXPECT_NE(buffer.inode(), 0u);
  EXPECT_TRUE(buffer.has_given_up_time());
  EXPECT_EQ(buffer.verdict().kind(), v1::VERDICT_KIND_HELD);
  ASSERT_EQ(buffer.last_holders_size(), 1);
  EXPECT_EQ(buffer.last_holders(0).session_id(), IdText(alice.session().id));
  EXPECT_EQ(CodeOf(GetBuffer(rig.broker, UserOf(1002), request)), "NOT_FOUND");
  EXPECT_EQ(CodeOf(GetBuffer(rig.broker, UserOf(1000), request)), "OK");
}

TEST_F(LostListing, ListsItInOrderPageByPage) {
  EXPECT_EQ(Buffers(kViewer), Texts({first, lost}));
  EXPECT_EQ(Buffers(UserOf(1002)), Ids());
  v1::ListBuffersRequest request;
  request.set_device("fake0");
  request.add_states(v1::BUFFER_STATE_FREED);
  request.set_page_size(1);
  const v1::ListBuffersResponse page = *ListBuffers(rig.broker, kViewer, request);
  EXPECT_EQ(IdsOf(page.buffers()), Texts({first}));
  request.set_page_token(page.next_page_token());
  EXPECT_EQ(Buffers(kViewer, request), Texts({lost}));
  request.clear_page_token();
  request.set_states(0, v1::BUFFER_STATE_LIVE);
  EXPECT_EQ(Buffers(kViewer, request), Ids());
}

TEST_F(LostListing, TellsWhoIsInTheWayOnlyToThoseWhoMaySeeThem) {
  v1::GetDeviceRequest request;
  request.set_name("fake0");
  const std::string all = GetDevice(rig.broker, kViewer, request)->failure();
  EXPECT_NE(all.find("'a1' of uid 1000"), std::string::npos) << all;
  const std::string some = GetDevice(rig.broker, UserOf(1002), request)->failure();
  EXPECT_NE(some.find("2 buffers that somebody held: `hl-bufctl holders fake0`"), std::string::npos)
      << some;
  EXPECT_EQ(some.find("a1"), std::string::npos) << some;
}

TEST_F(Listing, FiltersBuffers) {
  v1::ListBuffersRequest request;
  request.set_device("fake1");
  EXPECT_EQ(Buffers(kViewer, request), Texts({buffers[2], buffers[3]}));
  request.set_owner_uid(1001);
  EXPECT_EQ(Buffers(kViewer, request), Texts({buffers[3]}));
  request.add_states(v1::BUFFER_STATE_DRAINING);
  EXPECT_EQ(Buffers(kViewer, request), Ids());
  request.add_states(v1::BUFFER_STATE_LIVE);
  EXPECT_EQ(Buffers(kViewer, request), Texts({buffers[3]}));
}

TEST_F(Listing, RefusesADeviceThatThereIsNot) {
  v1::ListBuffersRequest of_buffers;
  of_buffers.set_device("none");
  EXPECT_EQ(CodeOf(ListBuffers(rig.broker, kViewer, of_buffers)), "NOT_FOUND");
  EXPECT_EQ(Buffers(Nobody(), of_buffers), Ids()) << "who sees no device learns nothing of them";
  v1::ListLeasesRequest of_leases;
  of_leases.set_device("none");
  EXPECT_EQ(CodeOf(ListLeases(rig.broker, UserOf(1000), of_leases)), "NOT_FOUND");
}

TEST_F(Listing, FiltersByContainer) {
  FakeClient& inside = rig.Connect(PeerOf(1000, "c0ffee"));
  const BufferId buffer = rig.Buffer(inside, "a1");
  v1::ListBuffersRequest of_buffers;
  of_buffers.set_owner_uid(1000);
  of_buffers.set_owner_container("c0ffee");
  EXPECT_EQ(Buffers(kViewer, of_buffers), Texts({buffer}));
  of_buffers.set_owner_container("");
  EXPECT_EQ(Buffers(kViewer, of_buffers).size(), 2u);
  v1::ListSessionsRequest of_sessions;
  of_sessions.set_container("c0ffee");
  EXPECT_EQ(Sessions(kViewer, of_sessions), Ids{IdText(inside.session().id)});
}

TEST_F(Listing, FiltersLeases) {
  v1::ListLeasesRequest of_buffer;
  of_buffer.set_buffer_id(IdText(buffers[0]));
  EXPECT_EQ(Leases(kViewer, of_buffer), 2u);
  of_buffer.set_holder_uid(1001);
  EXPECT_EQ(Leases(kViewer, of_buffer), 1u);
  v1::ListLeasesRequest of_owner;
  of_owner.set_owner_uid(1000);
  EXPECT_EQ(Leases(kViewer, of_owner), 3u);
  of_owner.set_holder_container("");
  EXPECT_EQ(Leases(kViewer, of_owner), 3u);
  of_owner.set_holder_container("c0ffee");
  EXPECT_EQ(Leases(kViewer, of_owner), 0u);
  v1::ListLeasesRequest of_session;
  of_session.set_session_id(IdText(bob.session().id));
  EXPECT_EQ(Leases(kViewer, of_session), 3u);
  of_session.set_device("fake1");
  EXPECT_EQ(Leases(kViewer, of_session), 1u);
  of_session.add_states(v1::LEASE_STATE_OVERDUE);
  EXPECT_EQ(Leases(kViewer, of_session), 0u);
  v1::ListLeasesRequest of_both;
  of_both.set_session_id(IdText(bob.session().id));
  of_both.set_buffer_id(IdText(buffers[2]));
  EXPECT_EQ(Leases(kViewer, of_both), 0u);
}

TEST_F(Listing, FiltersSessionsAndDevices) {
  v1::ListSessionsRequest request;
  request.set_uid(1001);
  EXPECT_EQ(Sessions(kViewer, request), Ids{IdText(bob.session().id)});
  request.add_states(v1::SESSION_STATE_PARKED);
  EXPECT_EQ(Sessions(kViewer, request), Ids());
  v1::ListDevicesRequest devices;
  devices.add_states(v1::DEVICE_STATE_FAILED);
  EXPECT_EQ(ListDevices(rig.broker, kViewer, devices)->devices_size(), 0);
}

TEST_F(Listing, RefusesFieldsThatMakeNoSense) {
  v1::ListBuffersRequest states;
  states.add_states(v1::BUFFER_STATE_UNSPECIFIED);
  EXPECT_EQ(CodeOf(ListBuffers(rig.broker, kViewer, states)), "INVALID_ARGUMENT");
  states.set_states(0, static_cast<v1::BufferState>(99));
  EXPECT_EQ(CodeOf(ListBuffers(rig.broker, kViewer, states)), "INVALID_ARGUMENT");
  v1::ListLeasesRequest ids;
  ids.set_buffer_id("not hexadecimal");
  EXPECT_EQ(CodeOf(ListLeases(rig.broker, kViewer, ids)), "INVALID_ARGUMENT");
  v1::GetBufferRequest get;
  EXPECT_EQ(CodeOf(GetBuffer(rig.broker, kViewer, get)), "INVALID_ARGUMENT");
  get.set_id("\x01");
  EXPECT_EQ(GetBuffer(rig.broker, kViewer, get).status().message(),
            "id is '?'; an id is 1 to 16 hexadecimal digits, as lists show it");
}

TEST_F(Listing, TellsAnOwnerWhatBecameOfItsBuffer) {
  alice.Release(rig.Find(buffers[2])->leases.front()->id);
  rig.Advance(absl::Seconds(5));
  EXPECT_EQ(Get(UserOf(1000), buffers[2]), "GONE");
  EXPECT_EQ(Get(UserOf(1001), buffers[2]), "NOT_FOUND");
}

TEST_F(Listing, SaysWhichDeviceIsTheDefault) {
  v1::GetDeviceRequest request;
  request.set_name("fake0");
  EXPECT_TRUE(GetDevice(rig.broker, kViewer, request)->is_default());
  request.set_name("fake1");
  EXPECT_FALSE(GetDevice(rig.broker, kViewer, request)->is_default());
  EXPECT_EQ(GetDevice(rig.broker, kViewer, request)->used_bytes(), 2 * kPage);
}

}  // namespace
}  // namespace hlbuf
