// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/epoch_slots.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/support/fake_epoch_page.h"

namespace hlbuf {
namespace {

constexpr std::uint32_t kFirst = EpochPage::kFirstSlot;

class EpochSlotsTest : public testing::Test {
 protected:
  BufferRecord& Buffer(std::uint64_t id, std::uint32_t slot = 0) {
    buffers_.push_back(std::make_unique<BufferRecord>());
    buffers_.back()->id = BufferId{id};
    buffers_.back()->epoch_slot = slot;
    return *buffers_.back();
  }
  BufferRecord& Current(std::uint64_t id) {
    BufferRecord& buffer = Buffer(id);
    slots_.MakeCurrent(buffer);
    return buffer;
  }

  FakeEpochPage page_{3};
  EpochSlots slots_{page_};
  std::vector<std::unique_ptr<BufferRecord>> buffers_;
};

TEST_F(EpochSlotsTest, HaveTheIdOfTheBufferThatIsCurrent) {
  const BufferRecord& buffer = Current(77);
  EXPECT_EQ(page_.words.at(buffer.epoch_slot), 77U);
  EXPECT_GE(buffer.epoch_slot, kFirst);
}

TEST_F(EpochSlotsTest, ChangeWhenTheirBufferEnds) {
  BufferRecord& buffer = Current(77);
  const std::uint32_t slot = buffer.epoch_slot;
  slots_.End(buffer);
  EXPECT_EQ(page_.words.at(slot), 0U);
  EXPECT_EQ(buffer.epoch_slot, 0U);
  slots_.End(buffer);
  Current(78);
  const BufferRecord& other = Current(79);
  EXPECT_NE(other.epoch_slot, slot) << "it was free twice";
}

TEST_F(EpochSlotsTest, GoToOthersWithAnotherValue) {
  BufferRecord& first = Current(77);
  const std::uint32_t slot = first.epoch_slot;
  slots_.End(first);
  EXPECT_EQ(Current(78).epoch_slot, slot);
  EXPECT_EQ(page_.words.at(slot), 78U);
}

TEST_F(EpochSlotsTest, AreNoneWhereThePageIsFull) {
  for (std::uint64_t id = 1; id <= 3; ++id) Current(id);
  BufferRecord& one_more = Current(4);
  EXPECT_EQ(one_more.epoch_slot, 0U);
  EXPECT_EQ(page_.words.at(0), 0U) << "what is before the slots is not theirs";
  slots_.End(one_more);
}

TEST_F(EpochSlotsTest, OfARestartAreWhereTheyWere) {
  page_.words = {9, 9, 9, 9, 9, 9, 9, 9, 50, 51, 52};
  BufferRecord& kept = Buffer(51, kFirst + 1);
  BufferRecord& half_written = Buffer(53, kFirst + 2);
  EXPECT_TRUE(slots_.Restore({&kept, &half_written}).empty());
  EXPECT_EQ(page_.words, (std::vector<std::uint64_t>{9, 9, 9, 9, 9, 9, 9, 9, 0, 51, 53}));
  EXPECT_EQ(Current(54).epoch_slot, kFirst) << "nobody has that one any more";
  EXPECT_EQ(Current(55).epoch_slot, 0U);
}

TEST_F(EpochSlotsTest, OfARestartAreOthersWhereTheyCannotBeTheSame) {
  BufferRecord& first = Buffer(1, kFirst);
  BufferRecord& twice = Buffer(2, kFirst);
  BufferRecord& beyond = Buffer(3, 1'000'000);
  BufferRecord& before = Buffer(4, 1);
  const std::vector<BufferRecord*> moved = slots_.Restore({&first, &twice, &beyond, &before});
  EXPECT_EQ(moved, (std::vector<BufferRecord*>{&twice, &beyond, &before}));
  EXPECT_EQ(page_.words.at(first.epoch_slot), 1U);
  EXPECT_EQ(page_.words.at(twice.epoch_slot), 2U);
  EXPECT_EQ(page_.words.at(beyond.epoch_slot), 3U);
  EXPECT_EQ(before.epoch_slot, 0U) << "three are all";
}

}  // namespace
}  // namespace hlbuf
