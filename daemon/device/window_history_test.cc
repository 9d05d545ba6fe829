// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/window_history.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <vector>

#include "daemon/device/recorded_notes.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint32_t kChunk = 3;
const Domain kAlice{.uid = 1000, .container = ""};
const Domain kBob{.uid = 1001, .container = ""};

Window Pages(std::uint64_t first, std::uint64_t count) {
  return {.offset = first * kPage, .size_bytes = count * kPage};
}
BytesNote Bytes(Window window, const Domain& domain) {
  return {.place = {.chunk = kChunk, .window = window}, .domain = domain};
}
// What the next process would read.
std::vector<BytesNote> Noted(const RecordedNotes& notes) {
  std::vector<DeviceNote> all = notes.all();
  all.push_back(NoteOf(CardNote()));
  return ReadCardNotes(all)->bytes;
}

TEST(WindowHistory, NotesWhatAWindowTakesOfCleanBytes) {
  WindowHistory history(kChunk);
  RecordedNotes notes;
  history.Add(Pages(0, 2), kAlice, notes);
  EXPECT_EQ(Noted(notes), std::vector{Bytes(Pages(0, 2), kAlice)});
}

TEST(WindowHistory, WritesNothingOfBytesThatAreItsDomainsAlready) {
  WindowHistory history(kChunk);
  RecordedNotes notes;
  history.Add(Pages(0, 4), kAlice, notes);
  const int before = notes.writes;
  history.Add(Pages(1, 2), kAlice, notes);
  history.Add(Pages(0, 4), kAlice, notes);
  EXPECT_EQ(notes.writes, before);
}

TEST(WindowHistory, HasOneNoteOfEachRun) {
  WindowHistory history(kChunk);
  RecordedNotes notes;
  history.Add(Pages(0, 1), kAlice, notes);
  history.Add(Pages(2, 1), kAlice, notes);
  history.Add(Pages(3, 1), kBob, notes);
  EXPECT_EQ(notes.notes.size(), 3u);
  history.Add(Pages(1, 1), kAlice, notes);
  EXPECT_EQ(Noted(notes), (std::vector{Bytes(Pages(0, 3), kAlice), Bytes(Pages(3, 1), kBob)}));
  EXPECT_EQ(history.all(), Noted(notes));
  EXPECT_EQ(*history.DomainOf(Pages(1, 2)), kAlice);
  EXPECT_EQ(history.DomainOf(Pages(2, 2)), nullptr);
  history.Clear(notes);
  EXPECT_TRUE(notes.notes.empty());
}

TEST(WindowHistory, TakesNoTwoDomainsAtOnePlace) {
  WindowHistory history(kChunk);
  EXPECT_TRUE(history.Load(Pages(0, 2), kAlice));
  EXPECT_TRUE(history.Load(Pages(1, 2), kAlice)) << "noted twice, by one that was killed";
  EXPECT_FALSE(history.Load(Pages(2, 2), kBob));
  EXPECT_FALSE(history.Load({.offset = kPage, .size_bytes = 0 - kPage}, kAlice));
  EXPECT_TRUE(history.Load(Pages(3, 1), kBob));
}

// However it grows, and wherever its process is killed: no byte loses its domain.
RC_GTEST_PROP(WindowHistory, NeverForgetsAByteBetweenTwoWrites, ()) {
  constexpr std::uint64_t kPages = 12;
  const std::array domains = {kAlice, kBob};
  std::array<int, kPages> owner;
  owner.fill(-1);
  class Checked final : public Notebook {
   public:
    Checked(RecordedNotes& to, const std::array<int, kPages>& promised)
        : to_(to), promised_(promised) {}
    void Write(DeviceNote note) override {
      to_.Write(std::move(note));
      for (std::uint64_t page = 0; page < kPages; ++page) {
        if (promised_[page] < 0) continue;
        bool found = false;
        for (const BytesNote& bytes : Noted(to_))
          found |=
              bytes.place.window.offset <= page * kPage && bytes.place.window.end() > page * kPage;
        RC_ASSERT(found);
      }
    }

   private:
    RecordedNotes& to_;
    const std::array<int, kPages>& promised_;
  };
  RecordedNotes notes;
  Checked notebook(notes, owner);
  WindowHistory history(kChunk);
  for (int step = 0; step < 20; ++step) {
    const int who = *rc::gen::inRange(0, 2);
    const auto first = *rc::gen::inRange<std::uint64_t>(0, kPages);
    const auto count = *rc::gen::inRange<std::uint64_t>(1, kPages - first + 1);
    bool free = true;
    for (std::uint64_t page = first; page < first + count; ++page)
      free &= owner[page] < 0 || owner[page] == who;
    if (!free) continue;
    history.Add(Pages(first, count), domains[static_cast<std::size_t>(who)], notebook);
    for (std::uint64_t page = first; page < first + count; ++page) owner[page] = who;
  }
  RC_ASSERT(history.all() == Noted(notes));
}

}  // namespace
}  // namespace hlbuf
