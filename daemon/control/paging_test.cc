// SPDX-License-Identifier: Apache-2.0
// Pages of lists that change while they are read.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/control/listing.h"
#include "daemon/control/page.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

namespace v1 = hlbuf::v1;
using Ids = std::vector<std::string>;

const Caller kViewer = {.peer = PeerOf(2001), .role = Role::kViewer};

const auto& ItemsOf(const v1::ListBuffersResponse& response) { return response.buffers(); }
const auto& ItemsOf(const v1::ListLeasesResponse& response) { return response.leases(); }
const auto& ItemsOf(const v1::ListSessionsResponse& response) { return response.sessions(); }

// All pages; `between` is called after each.
template <class Request, class List, class Between>
Ids Walk(const Broker& broker, Request request, List list, Between between,
         const Caller& caller = kViewer) {
  Ids ids;
  do {
    const auto page = list(broker, caller, request);
    EXPECT_TRUE(page.ok()) << page.status();
    for (const auto& item : ItemsOf(*page)) ids.push_back(item.id());
    request.set_page_token(page->next_page_token());
    between();
  } while (!request.page_token().empty());
  return ids;
}

template <class Request, class List>
Ids Walk(const Broker& broker, Request request, List list) {
  return Walk(broker, std::move(request), list, [] {});
}

TEST(Paging, GivesEveryBufferOnceInOrder) {
  BrokerRig rig;
  FakeClient& owner = rig.Connect(PeerOf(1000));
  Ids all;
  for (int i = 0; i < 25; ++i) all.push_back(IdText(rig.Buffer(owner)));
  for (const int size : {1, 7, 24, 25, 26}) {
    v1::ListBuffersRequest request;
    request.set_page_size(size);
    EXPECT_EQ(Walk(rig.broker, request, ListBuffers), all) << "pages of " << size;
  }
}

TEST(Paging, EndsWithoutATokenWhenTheLastPageIsFull) {
  BrokerRig rig;
  FakeClient& owner = rig.Connect(PeerOf(1000));
  for (int i = 0; i < 4; ++i) rig.Buffer(owner);
  v1::ListBuffersRequest request;
  request.set_page_size(4);
  EXPECT_EQ(ListBuffers(rig.broker, kViewer, request)->next_page_token(), "");
}

TEST(Paging, ListsWhatLivesThroughoutOnceWhateverComesAndGoes) {
  BrokerRig rig;
  FakeClient& owner = rig.Connect(PeerOf(1000));
  Ids stay;
  std::vector<LeaseId> go;
  for (int i = 0; i < 20; ++i) {
    stay.push_back(IdText(rig.Buffer(owner)));
    go.push_back(owner.Allocate());
  }
  v1::ListBuffersRequest request;
  request.set_page_size(3);
  const Ids seen = Walk(rig.broker, request, ListBuffers, [&] {
    if (!go.empty()) {  // the next in order, sometimes the very one that the page ended with
      owner.Release(go.front());
      go.erase(go.begin());
    }
    if (rig.broker.ledger().registry.size() < 60) rig.Buffer(owner);
    rig.Advance(absl::Seconds(1));
  });
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), seen.size());
  for (const std::string& id : stay)
    EXPECT_EQ(std::count(seen.begin(), seen.end(), id), 1) << "buffer " << id;
}

TEST(Paging, GivesLeasesByBufferAndThenById) {
  BrokerRig rig;
  FakeClient& owner = rig.Connect(PeerOf(1000));
  std::vector<BufferId> buffers;
  for (int i = 0; i < 4; ++i) buffers.push_back(rig.Buffer(owner));
  for (int round = 0; round < 5; ++round)
    for (const BufferId buffer : buffers) EXPECT_TRUE(owner.Open(buffer).ok());
  v1::ListLeasesRequest request;
  const Ids all = Walk(rig.broker, request, ListLeases);
  EXPECT_EQ(all.size(), 24u);
  for (const int size : {1, 5, 6, 23}) {
    request.set_page_size(size);
    EXPECT_EQ(Walk(rig.broker, request, ListLeases), all) << "pages of " << size;
  }
  request.set_buffer_id(IdText(buffers[2]));
  request.set_page_size(2);
  EXPECT_EQ(Walk(rig.broker, request, ListLeases), Ids(all.begin() + 12, all.begin() + 18));
}

TEST(Paging, GivesTheLeasesOfOneSessionInTheSameOrder) {
  BrokerRig rig;
  FakeClient& owner = rig.Connect(PeerOf(1000));
  FakeClient& other = rig.Connect(PeerOf(1000));
  for (int i = 0; i < 5; ++i) {
    const BufferId buffer = rig.Buffer(owner);
    EXPECT_TRUE(other.Open(buffer).ok());
    EXPECT_TRUE(owner.Open(buffer).ok());
  }
  v1::ListLeasesRequest request;
  request.set_session_id(IdText(owner.session().id));
  const Ids all = Walk(rig.broker, request, ListLeases);
  EXPECT_EQ(all.size(), 10u);
  request.set_page_size(3);
  EXPECT_EQ(Walk(rig.broker, request, ListLeases), all);
}

TEST(Paging, GoesOnBehindALeaseThatHasEnded) {
  BrokerRig rig;
  FakeClient& owner = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(owner);
  std::vector<LeaseId> leases;
  for (int i = 0; i < 6; ++i) leases.push_back(owner.Open(buffer)->lease);
  v1::ListLeasesRequest request;
  request.set_page_size(2);
  const Ids seen = Walk(rig.broker, request, ListLeases, [&] {
    owner.Release(leases.front());
    leases.erase(leases.begin());
  });
  for (const LeaseId lease : leases)
    EXPECT_EQ(std::count(seen.begin(), seen.end(), IdText(lease)), 1) << IdText(lease);
}

TEST(Paging, GivesEverySessionOnce) {
  BrokerRig rig;
  Ids all;
  for (uid_t uid = 1000; uid < 1010; ++uid)
    all.push_back(IdText(rig.Connect(PeerOf(uid)).session().id));
  v1::ListSessionsRequest request;
  request.set_page_size(4);
  EXPECT_EQ(Walk(rig.broker, request, ListSessions), all);
}

TEST(Paging, GivesDevicesByName) {
  BrokerRig rig;
  for (const char* name : {"z", "b/1", "a"}) rig.AddDevice(name, FakeBackend::DefaultTraits());
  rig.Run();
  v1::ListDevicesRequest request;
  request.set_page_size(1);
  Ids names;
  do {
    const auto page = ListDevices(rig.broker, kViewer, request);
    names.push_back(page->devices(0).name());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(names, (Ids{"a", "b/1", "fake0", "z"}));
}

TEST(Paging, ExaminesABoundedNumberOfRecordsForAPage) {
  BrokerRig rig;
  FakeClient& owner = rig.Connect(PeerOf(1000));
  FakeClient& last = rig.Connect(PeerOf(1001));
  for (std::size_t i = 0; i < kExaminedMax; ++i) owner.Allocate();
  const std::string wanted = IdText(rig.Buffer(last));
  v1::ListBuffersRequest request;
  request.set_owner_uid(1001);
  const auto page = ListBuffers(rig.broker, kViewer, request);
  EXPECT_EQ(page->buffers_size(), 0);
  EXPECT_NE(page->next_page_token(), "");
  EXPECT_EQ(Walk(rig.broker, request, ListBuffers), Ids{wanted});
}

// Whoever asks without a role makes the broker thread look at every holder of every buffer.
TEST(Paging, CountsTheLeasesThatAreLookedAtForACallerWithoutARole) {
  BrokerRig rig;
  FakeClient& owner = rig.Connect(PeerOf(1000));
  const Caller stranger = {.peer = PeerOf(1001)};
  constexpr std::size_t kLeasesEach = kExaminedMaxWithoutRole / 2;
  for (int i = 0; i < 4; ++i) {
    const BufferId buffer = rig.Buffer(owner);
    for (std::size_t k = 1; k < kLeasesEach; ++k) EXPECT_TRUE(owner.Open(buffer).ok());
  }
  const auto page = ListBuffers(rig.broker, stranger, {});
  EXPECT_EQ(page->buffers_size(), 0);
  EXPECT_NE(page->next_page_token(), "");
  EXPECT_EQ(Walk(
                rig.broker, v1::ListBuffersRequest(), ListBuffers, [] {}, stranger),
            Ids());
}

TEST(Paging, GivesEveryLeaseOnceInOrderHoweverManyABufferHas) {
  BrokerRig rig;
  FakeClient& owner = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(owner);
  Ids all;
  for (std::size_t i = 0; i < 2 * kExaminedMaxWithoutRole; ++i)
    EXPECT_TRUE(owner.Open(buffer).ok());
  for (const LeaseRecord* lease : owner.session().leases) all.push_back(IdText(lease->id));
  v1::ListLeasesRequest request;
  request.set_page_size(999);
  const Caller caller = {.peer = PeerOf(1000)};
  EXPECT_EQ(Walk(
                rig.broker, request, ListLeases, [] {}, caller),
            all);
  request.set_session_id(IdText(owner.session().id));
  EXPECT_EQ(Walk(
                rig.broker, request, ListLeases, [] {}, caller),
            all);
}

TEST(Paging, TakesNoForgedTokenOutOfItsBounds) {
  BrokerRig rig;
  FakeClient& owner = rig.Connect(PeerOf(1000));
  const BufferId first = rig.Buffer(owner);
  rig.Buffer(owner);
  v1::ListLeasesRequest request;
  request.set_buffer_id(IdText(first));
  const std::string query = QueryOf(request);
  request.set_page_token(PageToken(query, "ffffffffffffffff:ffffffffffffffff"));
  EXPECT_EQ(Walk(rig.broker, request, ListLeases), Ids());
  for (const absl::string_view key : {"1", "1:", ":", "1:2:3", "x:y"}) {
    request.set_page_token(PageToken(query, key));
    EXPECT_EQ(CodeOf(ListLeases(rig.broker, kViewer, request)), "INVALID_ARGUMENT") << key;
  }
}

}  // namespace
}  // namespace hlbuf
