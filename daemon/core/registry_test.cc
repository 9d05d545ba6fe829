// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/registry.h"

#include <gtest/gtest.h>

#include <vector>

namespace hlbuf {
namespace {

const Domain kAlice = {.uid = 1000, .container = ""};
const Domain kBob = {.uid = 1001, .container = ""};

Amounts Unlimited() {
  Amounts amounts;
  amounts.fill(kUnlimited);
  return amounts;
}

struct RegistryTest : testing::Test {
  BufferRecord& Add(std::uint64_t id, const Domain& owner, std::string name = "") {
    auto buffer = std::make_unique<BufferRecord>();
    buffer->id = BufferId{id};
    buffer->owner = &accounts.Of(owner);
    buffer->name = std::move(name);
    return registry.Add(std::move(buffer));
  }
  BufferRecord* Named(const Domain& owner, absl::string_view name) {
    return registry.FindByName(accounts.Of(owner), name);
  }

  Accounts accounts{{.service = Unlimited(), .uid = Unlimited(), .domain = Unlimited()}};
  Registry registry;
};

TEST_F(RegistryTest, FindsBuffersById) {
  BufferRecord& buffer = Add(7, kAlice);
  EXPECT_EQ(registry.Find(BufferId{7}), &buffer);
  EXPECT_EQ(registry.Find(BufferId{8}), nullptr);
  EXPECT_EQ(registry.Find(BufferId()), nullptr);
}

TEST_F(RegistryTest, FindsBuffersByNameWithinADomain) {
  BufferRecord& alices = Add(1, kAlice, "x");
  BufferRecord& bobs = Add(2, kBob, "x");
  Add(3, kAlice);
  EXPECT_EQ(Named(kAlice, "x"), &alices);
  EXPECT_EQ(Named(kBob, "x"), &bobs);
  EXPECT_EQ(Named(kAlice, "y"), nullptr);
  EXPECT_EQ(Named(kAlice, ""), nullptr);
}

TEST_F(RegistryTest, ListsBuffersInTheOrderOfTheirIds) {
  for (const std::uint64_t id : {3, 5, 9}) Add(id, kAlice);
  registry.Remove(*registry.Find(BufferId{5}), "freed");
  std::vector<std::uint64_t> ids;
  for (const auto& [id, buffer] : registry.in_order()) ids.push_back(buffer->id.value);
  EXPECT_EQ(ids, (std::vector<std::uint64_t>{3, 9}));
}

TEST_F(RegistryTest, GivesANameAwayOnceItsBufferDrains) {
  BufferRecord& old = Add(1, kAlice, "x");
  registry.DropName(old);
  EXPECT_EQ(Named(kAlice, "x"), nullptr);
  BufferRecord& renewed = Add(2, kAlice, "x");
  registry.DropName(old);
  registry.Remove(old, "freed");
  EXPECT_EQ(Named(kAlice, "x"), &renewed);
}

TEST_F(RegistryTest, ForgetsTheNameWithTheBuffer) {
  registry.Remove(Add(1, kAlice, "x"), "freed");
  EXPECT_EQ(Named(kAlice, "x"), nullptr);
  EXPECT_EQ(registry.size(), 0u);
}

TEST_F(RegistryTest, TellsTheOwnersDomainWhatBecameOfABuffer) {
  registry.Remove(Add(1, kAlice), "freed");
  EXPECT_EQ(registry.FateOf(BufferId{1}, kAlice), "freed");
  EXPECT_EQ(registry.FateOf(BufferId{1}, kBob), "");
  EXPECT_EQ(registry.FateOf(BufferId{1}), "freed");
  EXPECT_EQ(registry.FateOf(BufferId{2}), "");
}

TEST_F(RegistryTest, RemembersNothingWhereThereIsNothingToTell) {
  registry.Remove(Add(1, kAlice), "");
  EXPECT_EQ(registry.FateOf(BufferId{1}), "");
}

TEST_F(RegistryTest, RemembersABoundedNumberOfFatesTheNewestOnes) {
  for (std::uint64_t id = 1; id <= Registry::kRemembered + 2; ++id)
    registry.Remove(Add(id, kAlice), "freed");
  EXPECT_EQ(registry.FateOf(BufferId{1}), "");
  EXPECT_EQ(registry.FateOf(BufferId{2}), "");
  EXPECT_EQ(registry.FateOf(BufferId{3}), "freed");
  EXPECT_EQ(registry.FateOf(BufferId{Registry::kRemembered + 2}), "freed");
}

TEST(Unlist, KeepsThePlacesOfTheOthersRight) {
  std::vector<LeaseRecord> leases(4);
  std::vector<LeaseRecord*> list;
  for (LeaseRecord& lease : leases) {
    lease.place_in_buffer = static_cast<std::uint32_t>(list.size());
    list.push_back(&lease);
  }
  for (const std::size_t gone : {1, 3, 0, 2}) {
    Unlist(list, &LeaseRecord::place_in_buffer, leases[gone]);
    for (std::uint32_t place = 0; place < list.size(); ++place) {
      EXPECT_NE(list[place], &leases[gone]);
      EXPECT_EQ(list[place]->place_in_buffer, place);
    }
  }
  EXPECT_TRUE(list.empty());
}

}  // namespace
}  // namespace hlbuf
