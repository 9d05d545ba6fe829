// SPDX-License-Identifier: Apache-2.0
// How clients get the epoch page, and what it says to them.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>
#include <optional>
#include <vector>

#include "tests/support/restart_rig.h"
#include "tests/support/session_steps.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPageBit = HLBUF_WIRE_FEATURE_EPOCH_PAGE;
constexpr std::uint64_t kBoth = HLBUF_WIRE_FEATURE_REATTACH | HLBUF_WIRE_FEATURE_EPOCH_PAGE;

// The page as it came with a WELCOME.
class Page {
 public:
  explicit Page(const std::optional<Packet>& welcome) {
    EXPECT_TRUE(welcome.has_value() && welcome->fds.size() == 1);
    EXPECT_NE(welcome->As<hlbuf_wire_welcome>().features & kPageBit, 0U);
    struct stat stat = {};
    EXPECT_EQ(::fstat(welcome->fds.at(0).get(), &stat), 0);
    bytes_ = static_cast<std::size_t>(stat.st_size);
    mapping_ = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, welcome->fds[0].get(), 0);
    EXPECT_NE(mapping_, MAP_FAILED);
  }
  ~Page() { ::munmap(mapping_, bytes_); }
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;

  std::uint64_t At(std::uint32_t slot) const {
    EXPECT_LT(slot, bytes_ / sizeof(std::uint64_t));
    return static_cast<const volatile std::uint64_t*>(mapping_)[slot];
  }

 private:
  std::size_t bytes_ = 0;
  void* mapping_ = nullptr;
};

TEST(SessionEpochPage, ComesWithWelcome) {
  SessionRig rig;
  RawClient client = RawClient::Connect(rig.path());
  const Page page(client.Ask(HelloOfFrame(1, kPageBit)));
  EXPECT_EQ(page.At(0), HLBUF_WIRE_EPOCH_MAGIC);
  const hlbuf_wire_allocated made = Allocated(client, "weights");
  EXPECT_EQ(page.At(made.epoch_slot), made.buffer_id);
  const std::optional<Packet> opened = client.Ask(OpenNameFrame(3, "weights"));
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->ItemAt<hlbuf_wire_opened_item>(0).epoch_slot, made.epoch_slot);
}

TEST(SessionEpochPage, ComesToNobodyWhoDidNotAsk) {
  SessionRig rig;
  RawClient client = RawClient::Connect(rig.path());
  const std::optional<Packet> welcome = client.Ask(HelloFrame());
  ASSERT_TRUE(welcome.has_value());
  EXPECT_TRUE(welcome->fds.empty());
  EXPECT_EQ(welcome->As<hlbuf_wire_welcome>().features, 0U);
}

TEST(SessionEpochPage, IsInFlightUntilItWasReceived) {
  SessionRig rig;
  RawClient client = RawClient::Connect(rig.path());
  ASSERT_EQ(client.Send(HelloOfFrame(1, kPageBit)), 0);
  ASSERT_TRUE(client.Readable(RawClient::kDeadlineMs));
  rig.OnLoop([](Broker& broker) { EXPECT_EQ(NewestSession(broker).in_flight.amount(), 1U); });
  const Page page(client.Receive());
  ASSERT_TRUE(client.Ask(DevicesFrame(2)).has_value());
  rig.OnLoop([](Broker& broker) { EXPECT_EQ(NewestSession(broker).in_flight.amount(), 0U); });
}

TEST(SessionEpochPage, IsDoneWithoutWhereNoDescriptorMoreMayBeInFlight) {
  SessionRigOptions options;
  options.limits.domain[static_cast<std::size_t>(Resource::kInFlight)] = 1;
  SessionRig rig(options);
  RawClient first = RawClient::Connect(rig.path());
  ASSERT_EQ(first.Send(HelloOfFrame(1, kPageBit)), 0);
  ASSERT_TRUE(first.Readable(RawClient::kDeadlineMs));
  RawClient second = RawClient::Connect(rig.path());
  const std::optional<Packet> welcome = second.Ask(HelloOfFrame(1, kPageBit));
  ASSERT_TRUE(welcome.has_value());
  EXPECT_TRUE(welcome->fds.empty());
  EXPECT_EQ(welcome->As<hlbuf_wire_welcome>().features, 0U);
}

TEST(SessionEpochPage, SaysThatABufferIsNotCurrentBeforeItsHolderHears) {
  SessionRig rig;
  RawClient owner = RawClient::Greeted(rig.path());
  const hlbuf_wire_allocated made = Allocated(owner);
  RawClient other = RawClient::Connect(rig.path());
  const Page page(other.Ask(HelloOfFrame(1, kPageBit)));
  EXPECT_EQ(page.At(made.epoch_slot), made.buffer_id);
  rig.OnLoop([&](Broker& broker) {
    const BufferId id{made.buffer_id};
    EXPECT_TRUE(broker.RevokeBuffers({&id, 1}, absl::Minutes(1), [](const auto&) {}).ok());
  });
  const std::optional<Packet> revoke = owner.Receive();
  ASSERT_TRUE(revoke.has_value());
  ASSERT_EQ(revoke->opcode(), HLBUF_WIRE_REVOKE);
  EXPECT_NE(page.At(made.epoch_slot), made.buffer_id);
}

// A client whose service dies.
class Restarted {
 public:
  explicit Restarted(RestartRig& rig) : rig_(rig), client_(RawClient::Connect(rig.path())) {
    welcome_ = client_.Ask(HelloOfFrame(1, kBoth));
    made_ = Allocated(client_);
  }
  const std::optional<Packet>& welcome() const { return welcome_; }
  const hlbuf_wire_allocated& made() const { return made_; }
  std::optional<Packet> ComeBack(std::uint64_t features) {
    client_ = RawClient::Connect(rig_.path());
    const auto fixed = welcome_->As<hlbuf_wire_welcome>();
    ReattachAsk ask = {.session = fixed.session_id, .leases = {made_.lease_id}};
    ask.features = features;
    std::memcpy(ask.secret, fixed.secret, sizeof(ask.secret));
    return client_.Ask(ReattachFrame(100, ask));
  }

 private:
  RestartRig& rig_;
  RawClient client_;
  std::optional<Packet> welcome_;
  hlbuf_wire_allocated made_ = {};
};

TEST(SessionEpochPage, IsTheSameAfterARestart) {
  RestartRig rig;
  Restarted client(rig);
  const Page before(client.welcome());
  rig.Restart();
  EXPECT_EQ(before.At(client.made().epoch_slot), client.made().buffer_id);
  const Page after(client.ComeBack(kBoth));
  EXPECT_EQ(after.At(client.made().epoch_slot), client.made().buffer_id);
}

TEST(SessionEpochPage, ThatWasLostIsHandedOutAnew) {
  RestartRig rig;
  Restarted client(rig);
  rig.Kill();
  rig.LosePage();
  rig.Start();
  const Page page(client.ComeBack(kBoth));
  EXPECT_EQ(page.At(client.made().epoch_slot), client.made().buffer_id);
}

TEST(SessionEpochPage, ComesBackToNobodyWhoDoesNotAskAgain) {
  RestartRig rig;
  Restarted client(rig);
  rig.Restart();
  const std::optional<Packet> back = client.ComeBack(HLBUF_WIRE_FEATURE_REATTACH);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->opcode(), HLBUF_WIRE_REATTACHED);
  EXPECT_TRUE(back->fds.empty());
}

}  // namespace
}  // namespace hlbuf
