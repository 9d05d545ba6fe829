// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/window_allocator.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = 4096;
const Domain kAlice{.uid = 1000, .container = ""};
const Domain kBob{.uid = 1001, .container = ""};
const Domain kPodOfAlice{.uid = 1000, .container = "0123456789abcdef"};

Window Pages(std::uint64_t first, std::uint64_t count) {
  return {.offset = first * kPage, .size_bytes = count * kPage};
}

TEST(RangeSet, JoinsRangesThatTouchOrOverlap) {
  RangeSet set;
  set.Add({.offset = 0, .size_bytes = 10});
  set.Add({.offset = 20, .size_bytes = 10});
  EXPECT_EQ(set.largest_bytes(), 10u);
  set.Add({.offset = 5, .size_bytes = 15});
  EXPECT_EQ(set.BestFit(30), (Window{.offset = 0, .size_bytes = 30}));
}

TEST(RangeSet, KeepsWhatARemovalLeavesOnBothSides) {
  RangeSet set;
  set.Add({.offset = 0, .size_bytes = 30});
  set.Remove({.offset = 10, .size_bytes = 5});
  set.Remove({.offset = 100, .size_bytes = 5});
  EXPECT_EQ(set.BestFit(1), (Window{.offset = 0, .size_bytes = 10}));
  EXPECT_EQ(set.BestFit(11), (Window{.offset = 15, .size_bytes = 15}));
  set.Remove({.offset = 5, .size_bytes = 20});
  EXPECT_EQ(set.largest_bytes(), 5u);
}

TEST(WindowAllocator, RoundsSizesUpToPages) {
  WindowAllocator arena(10 * kPage + 100, kPage);
  EXPECT_EQ(arena.free_bytes(), 10 * kPage);
  EXPECT_EQ(arena.Allocate(kPage + 1, kAlice)->size_bytes, 2 * kPage);
  EXPECT_EQ(arena.Allocate(0, kAlice), std::nullopt);
  EXPECT_EQ(arena.Allocate(~std::uint64_t{0}, kAlice), std::nullopt);
}

TEST(WindowAllocator, HasNoWindowInAnArenaSmallerThanAPage) {
  WindowAllocator arena(kPage - 1, kPage);
  EXPECT_EQ(arena.Allocate(1, kAlice), std::nullopt);
}

TEST(WindowAllocator, TakesTheSmallestGapThatFits) {
  WindowAllocator arena(16 * kPage, kPage);
  const auto wide = arena.Allocate(4 * kPage, kAlice);
  ASSERT_TRUE(arena.Allocate(kPage, kAlice));
  const auto narrow = arena.Allocate(2 * kPage, kAlice);
  ASSERT_TRUE(arena.Allocate(kPage, kAlice));
  arena.MarkClean(*arena.Free(wide->offset));
  arena.MarkClean(*arena.Free(narrow->offset));
  EXPECT_EQ(arena.Allocate(2 * kPage, kBob)->offset, narrow->offset);
}

TEST(WindowAllocator, KnowsNoWindowThatItDidNotGiveOut) {
  WindowAllocator arena(4 * kPage, kPage);
  const auto window = arena.Allocate(2 * kPage, kAlice);
  EXPECT_EQ(arena.Free(window->offset + kPage), std::nullopt);
  EXPECT_EQ(arena.Free(window->offset), window);
  EXPECT_EQ(arena.Free(window->offset), std::nullopt);
}

TEST(WindowAllocator, TakesAWindowThatWasGivenOutBeforeAtItsPlace) {
  WindowAllocator windows(8 * kPage, kPage);
  EXPECT_TRUE(windows.AllocateAt({.offset = 2 * kPage, .size_bytes = 3 * kPage}, kAlice));
  EXPECT_EQ(windows.free_bytes(), 5 * kPage);
  EXPECT_EQ(windows.LargestBytes(kBob), 3 * kPage);
  EXPECT_EQ(windows.Free(2 * kPage), (Window{.offset = 2 * kPage, .size_bytes = 3 * kPage}));
  EXPECT_EQ(windows.ReservedBytes(kAlice), 3 * kPage);
  EXPECT_FALSE(windows.AllocateAt({.offset = kPage, .size_bytes = 5 * kPage}, kBob))
      << "over what is another's";
  EXPECT_TRUE(windows.AllocateAt({.offset = kPage, .size_bytes = 5 * kPage}, kAlice))
      << "over what is clean and its own";
  EXPECT_EQ(windows.reserved_bytes(), 0u);
}

TEST(WindowAllocator, TakesNoWindowAtAPlaceThatItDoesNotHaveOrThatIsTaken) {
  WindowAllocator windows(8 * kPage, kPage);
  ASSERT_TRUE(windows.AllocateAt({.offset = 2 * kPage, .size_bytes = 2 * kPage}, kAlice));
  for (const Window window :
       {Window{0, 0}, Window{0, 3 * kPage}, Window{3 * kPage, kPage}, Window{3 * kPage, 4 * kPage},
        Window{7 * kPage, 2 * kPage}, Window{8 * kPage, kPage}, Window{1, kPage}, Window{0, 1},
        Window{7 * kPage, ~std::uint64_t{0} & ~(kPage - 1)}})
    EXPECT_FALSE(windows.AllocateAt(window, kBob)) << window.offset << " " << window.size_bytes;
  EXPECT_EQ(windows.free_bytes(), 6 * kPage);
}

TEST(WindowAllocator, ReservesFreedBytesToTheirDomainUntilCleared) {
  WindowAllocator arena(4 * kPage, kPage);
  const auto window = arena.Allocate(4 * kPage, kAlice);
  arena.Free(window->offset);
  EXPECT_EQ(arena.free_bytes(), 4 * kPage);
  EXPECT_EQ(arena.reserved_bytes(), 4 * kPage);
  EXPECT_EQ(arena.ReservedBytes(kAlice), 4 * kPage);
  EXPECT_EQ(arena.ReservedBytes(kBob), 0u);
  EXPECT_EQ(arena.Allocate(kPage, kBob), std::nullopt);
  EXPECT_EQ(arena.LargestBytes(kBob), 0u);

  arena.MarkClean(*window);
  EXPECT_EQ(arena.reserved_bytes(), 0u);
  EXPECT_EQ(arena.Allocate(4 * kPage, kBob), window);
}

TEST(WindowAllocator, TellsTwoContainersOfOneUidApart) {
  WindowAllocator arena(kPage, kPage);
  arena.Free(arena.Allocate(kPage, kPodOfAlice)->offset);
  EXPECT_EQ(arena.Allocate(kPage, kAlice), std::nullopt);
  EXPECT_TRUE(arena.Allocate(kPage, kPodOfAlice));
}

TEST(WindowAllocator, ServesADomainFromItsOwnBytesFirst) {
  WindowAllocator arena(8 * kPage, kPage);
  const auto first = arena.Allocate(kPage, kAlice);
  ASSERT_TRUE(arena.Allocate(kPage, kBob));
  const auto third = arena.Allocate(2 * kPage, kAlice);
  ASSERT_TRUE(arena.Allocate(kPage, kBob));
  arena.Free(first->offset);
  arena.Free(third->offset);
  EXPECT_EQ(arena.Allocate(2 * kPage, kAlice), third);
  EXPECT_EQ(arena.Allocate(kPage, kAlice), first);
}

TEST(WindowAllocator, LetsAWindowSpanOwnAndCleanBytes) {
  WindowAllocator arena(8 * kPage, kPage);
  const auto first = arena.Allocate(2 * kPage, kAlice);
  const auto second = arena.Allocate(2 * kPage, kBob);
  arena.Free(first->offset);
  arena.Free(second->offset);
  EXPECT_EQ(arena.LargestBytes(kAlice), 4 * kPage);  // not across Bob's
  EXPECT_EQ(arena.LargestBytes(kBob), 6 * kPage);
  EXPECT_EQ(arena.Allocate(5 * kPage, kBob), Pages(2, 5));
  EXPECT_EQ(arena.ReservedBytes(kBob), 0u);
}

TEST(WindowAllocator, StillSpansCleanBytesWhenOneOfTwoOwnNeighboursIsTaken) {
  WindowAllocator arena(6 * kPage, kPage);
  arena.Free(arena.Allocate(6 * kPage, kAlice)->offset);
  arena.MarkClean(Pages(2, 2));
  ASSERT_EQ(arena.Allocate(2 * kPage, kAlice), Pages(0, 2));
  EXPECT_EQ(arena.LargestBytes(kAlice), 4 * kPage);
  EXPECT_EQ(arena.Allocate(3 * kPage, kAlice), Pages(3, 3));
}

TEST(WindowAllocator, ListsWhatWouldHaveToBeCleared) {
  WindowAllocator arena(8 * kPage, kPage);
  const auto first = arena.Allocate(2 * kPage, kAlice);
  const auto second = arena.Allocate(kPage, kBob);
  arena.Free(second->offset);
  arena.Free(first->offset);
  const auto all = arena.Reservations();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].window, Pages(0, 2));
  EXPECT_EQ(all[0].domain, kAlice);
  EXPECT_EQ(all[1].window, Pages(2, 1));
  EXPECT_EQ(all[1].domain, kBob);
}

TEST(WindowAllocator, CleansFreeBytesOnlyAndAlsoPartsOfRanges) {
  WindowAllocator arena(6 * kPage, kPage);
  const auto freed = arena.Allocate(4 * kPage, kAlice);
  const auto live = arena.Allocate(2 * kPage, kBob);
  arena.Free(freed->offset);
  arena.MarkClean(Pages(1, 2));
  EXPECT_EQ(arena.ReservedBytes(kAlice), 2 * kPage);
  EXPECT_EQ(arena.Allocate(2 * kPage, kBob), Pages(1, 2));
  arena.MarkClean(Pages(0, 6));
  EXPECT_EQ(arena.reserved_bytes(), 0u);
  arena.Free(live->offset);
  EXPECT_EQ(arena.ReservedBytes(kBob), 2 * kPage);
}

// One byte of state per page and no cleverness: what the allocator must agree with.
class PageModel {
 public:
  static constexpr std::uint64_t kPages = 16;
  static const std::array<Domain, 3>& Domains() {
    static const std::array<Domain, 3> all = {kAlice, kBob, kPodOfAlice};
    return all;
  }

  std::uint64_t LargestPages(const Domain& domain) const {
    std::uint64_t largest = 0;
    std::uint64_t run = 0;
    for (const Page& page : pages_) {
      run = !page.used && (!page.last || page.last == domain) ? run + 1 : 0;
      largest = std::max(largest, run);
    }
    return largest;
  }
  bool IsRoom(Window window, const Domain& domain) const {
    for (std::uint64_t i = window.offset / kPage; i < window.end() / kPage; ++i)
      if (i >= kPages || pages_[i].used || (pages_[i].last && pages_[i].last != domain))
        return false;
    return window.size_bytes > 0;
  }
  std::uint64_t ReservedPages(const Domain& domain) const {
    std::uint64_t count = 0;
    for (const Page& page : pages_) count += !page.used && page.last == domain;
    return count;
  }
  void Use(Window window, const Domain& domain) {
    for (std::uint64_t i = window.offset / kPage; i < window.end() / kPage; ++i) {
      RC_ASSERT(!pages_.at(i).used);
      RC_ASSERT(!pages_.at(i).last || pages_.at(i).last == domain);
      pages_.at(i) = {.used = true, .last = domain};
    }
  }
  void Free(Window window) {
    for (std::uint64_t i = window.offset / kPage; i < window.end() / kPage; ++i)
      pages_.at(i).used = false;
  }
  void Clean(Window window) {
    for (std::uint64_t i = window.offset / kPage; i < window.end() / kPage; ++i)
      if (!pages_.at(i).used) pages_.at(i).last.reset();
  }

 private:
  struct Page {
    bool used = false;
    std::optional<Domain> last;
  };
  std::array<Page, kPages> pages_;
};

void ExpectAgreement(const WindowAllocator& arena, const PageModel& model) {
  std::uint64_t reserved = 0;
  for (const Domain& domain : PageModel::Domains()) {
    RC_ASSERT(arena.LargestBytes(domain) == model.LargestPages(domain) * kPage);
    RC_ASSERT(arena.ReservedBytes(domain) == model.ReservedPages(domain) * kPage);
    reserved += model.ReservedPages(domain) * kPage;
  }
  RC_ASSERT(arena.reserved_bytes() == reserved);
}

// Windows never overlap, nobody meets another's bytes, whatever could be served is served, and in
// the end there is one clean range again.
RC_GTEST_PROP(WindowAllocator, AgreesWithAModelOfPages, ()) {
  WindowAllocator arena(PageModel::kPages * kPage, kPage);
  PageModel model;
  std::vector<Window> live;
  for (int step = 0; step < 100; ++step) {
    const int what = *rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, 10));
    if (what < 4) {
      const Domain& domain = PageModel::Domains().at(*rc::gen::inRange<std::size_t>(0, 3));
      const auto pages = *rc::gen::inRange<std::uint64_t>(1, 5);
      const bool fits = model.LargestPages(domain) >= pages;
      const auto window = arena.Allocate(pages * kPage, domain);
      RC_ASSERT(window.has_value() == fits);
      if (window) model.Use(*window, domain);
      if (window) live.push_back(*window);
    } else if (what < 5) {
      const Domain& domain = PageModel::Domains().at(*rc::gen::inRange<std::size_t>(0, 3));
      const Window window = Pages(*rc::gen::inRange<std::uint64_t>(0, PageModel::kPages),
                                  *rc::gen::inRange<std::uint64_t>(0, 5));
      const bool fits = model.IsRoom(window, domain);
      RC_ASSERT(arena.AllocateAt(window, domain) == fits);
      if (fits) model.Use(window, domain);
      if (fits) live.push_back(window);
    } else if (what < 8 && !live.empty()) {
      const auto victim = *rc::gen::inRange<std::size_t>(0, live.size());
      RC_ASSERT(arena.Free(live[victim].offset) == live[victim]);
      model.Free(live[victim]);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(victim));
    } else {
      const auto first = *rc::gen::inRange<std::uint64_t>(0, PageModel::kPages);
      const auto count = *rc::gen::inRange<std::uint64_t>(0, PageModel::kPages - first + 1);
      arena.MarkClean(Pages(first, count));
      model.Clean(Pages(first, count));
    }
    ExpectAgreement(arena, model);
  }
  for (const Window& window : live) RC_ASSERT(arena.Free(window.offset) == window);
  RC_ASSERT(arena.free_bytes() == PageModel::kPages * kPage);
  for (const auto& reservation : arena.Reservations()) arena.MarkClean(reservation.window);
  RC_ASSERT(arena.reserved_bytes() == 0u);
  RC_ASSERT(arena.LargestBytes(kBob) == PageModel::kPages * kPage);
}

}  // namespace
}  // namespace hlbuf
