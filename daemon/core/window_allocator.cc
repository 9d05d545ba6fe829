// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/window_allocator.h"

#include <algorithm>
#include <iterator>

namespace hlbuf {

void RangeSet::Insert(std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  by_offset_.emplace(begin, end);
  by_size_.emplace(end - begin, begin);
}

void RangeSet::Add(Window range) {
  std::uint64_t begin = range.offset;
  std::uint64_t end = range.end();
  auto it = by_offset_.upper_bound(begin);
  if (it != by_offset_.begin() && std::prev(it)->second >= begin) --it;
  while (it != by_offset_.end() && it->first <= end) {
    begin = std::min(begin, it->first);
    end = std::max(end, it->second);
    by_size_.erase({it->second - it->first, it->first});
    it = by_offset_.erase(it);
  }
  Insert(begin, end);
}

void RangeSet::Remove(Window range) {
  auto it = by_offset_.upper_bound(range.offset);
  if (it != by_offset_.begin() && std::prev(it)->second > range.offset) --it;
  while (it != by_offset_.end() && it->first < range.end()) {
    const auto [begin, end] = *it;
    by_size_.erase({end - begin, begin});
    by_offset_.erase(it);
    Insert(begin, range.offset);
    Insert(range.end(), end);
    it = by_offset_.lower_bound(end);
  }
}

std::optional<Window> RangeSet::BestFit(std::uint64_t size_bytes) const {
  const auto it = by_size_.lower_bound({size_bytes, 0});
  if (it == by_size_.end()) return std::nullopt;
  return Window{.offset = it->second, .size_bytes = it->first};
}

WindowAllocator::WindowAllocator(std::uint64_t arena_bytes, std::uint64_t page_bytes)
    : page_bytes_(page_bytes) {
  const std::uint64_t whole_pages = arena_bytes & ~(page_bytes - 1);
  if (whole_pages > 0) Attach({.offset = 0, .size_bytes = whole_pages}, std::nullopt);
}

std::optional<Window> WindowAllocator::Allocate(std::uint64_t size_bytes, const Domain& domain) {
  if (size_bytes == 0 || size_bytes > free_bytes_) return std::nullopt;
  size_bytes = (size_bytes + page_bytes_ - 1) & ~(page_bytes_ - 1);
  const std::optional<Window> window = Find(size_bytes, domain);
  if (!window) return std::nullopt;
  Take(*window);
  live_.emplace(window->offset, Live{.size_bytes = size_bytes, .domain = domain});
  return window;
}

bool WindowAllocator::AllocateAt(Window window, const Domain& domain) {
  const bool whole_pages = (window.offset | window.size_bytes) % page_bytes_ == 0;
  if (!whole_pages || window.size_bytes == 0 || window.end() < window.offset) return false;
  std::uint64_t at = window.offset;
  auto it = free_.upper_bound(at);
  if (it != free_.begin()) --it;
  for (; at < window.end(); at = it->first + it->second.size_bytes, ++it) {
    if (it == free_.end() || it->first > at || it->first + it->second.size_bytes <= at)
      return false;
    if (it->second.last && *it->second.last != domain) return false;
  }
  Take(window);
  live_.emplace(window.offset, Live{.size_bytes = window.size_bytes, .domain = domain});
  return true;
}

std::optional<Window> WindowAllocator::Find(std::uint64_t size_bytes, const Domain& domain) const {
  if (const auto own = own_.find(domain); own != own_.end()) {
    if (const auto room = own->second.usable.BestFit(size_bytes)) {
      // Clean and own ranges alternate: the first or the second one is own.
      const auto first = free_.find(room->offset);
      const std::uint64_t own_begin =
          first->second.last ? room->offset : room->offset + first->second.size_bytes;
      return Window{.offset = std::min(own_begin, room->end() - size_bytes),
                    .size_bytes = size_bytes};
    }
  }
  const auto room = clean_.BestFit(size_bytes);
  if (!room) return std::nullopt;
  return Window{.offset = room->offset, .size_bytes = size_bytes};
}

std::optional<Window> WindowAllocator::Free(std::uint64_t offset) {
  const auto it = live_.find(offset);
  if (it == live_.end()) return std::nullopt;
  const Window window{.offset = offset, .size_bytes = it->second.size_bytes};
  Attach(window, std::move(it->second.domain));
  live_.erase(it);
  return window;
}

void WindowAllocator::MarkClean(Window window) {
  std::vector<Window> reserved;
  auto it = free_.upper_bound(window.offset);
  if (it != free_.begin()) --it;
  for (; it != free_.end() && it->first < window.end(); ++it) {
    const std::uint64_t begin = std::max(it->first, window.offset);
    const std::uint64_t end = std::min(it->first + it->second.size_bytes, window.end());
    if (it->second.last && begin < end)
      reserved.push_back({.offset = begin, .size_bytes = end - begin});
  }
  for (const Window& part : reserved) {
    Take(part);
    Attach(part, std::nullopt);
  }
}

// Removes `window`, which is free, from the free ranges that it lies in.
void WindowAllocator::Take(Window window) {
  while (window.size_bytes > 0) {
    const auto it = std::prev(free_.upper_bound(window.offset));
    const Window range{.offset = it->first, .size_bytes = it->second.size_bytes};
    const Last last = it->second.last;
    const std::uint64_t end = std::min(range.end(), window.end());
    Detach(range, last);
    if (range.offset < window.offset)
      Attach({.offset = range.offset, .size_bytes = window.offset - range.offset}, last);
    if (end < range.end()) Attach({.offset = end, .size_bytes = range.end() - end}, last);
    window = {.offset = end, .size_bytes = window.end() - end};
  }
}

void WindowAllocator::Attach(Window window, Last last) {
  for (const auto& [range, range_last] : Neighbours(window)) {
    if (range_last != last) continue;
    Detach(range, last);
    window = {.offset = std::min(window.offset, range.offset),
              .size_bytes = window.size_bytes + range.size_bytes};
  }
  free_.emplace(window.offset, FreeRange{.size_bytes = window.size_bytes, .last = last});
  free_bytes_ += window.size_bytes;
  const auto neighbours = Neighbours(window);
  if (!last) {
    clean_.Add(window);
    for (const auto& [range, range_last] : neighbours) own_[*range_last].usable.Add(window);
    return;
  }
  Own& own = own_[*last];
  own.usable.Add(window);
  own.reserved_bytes += window.size_bytes;
  reserved_bytes_ += window.size_bytes;
  for (const auto& [range, range_last] : neighbours)
    if (!range_last) own.usable.Add(range);
}

void WindowAllocator::Detach(Window window, const Last& last) {
  free_.erase(window.offset);
  free_bytes_ -= window.size_bytes;
  const auto neighbours = Neighbours(window);
  if (!last) {
    clean_.Remove(window);
    for (const auto& [range, range_last] : neighbours) own_[*range_last].usable.Remove(window);
    return;
  }
  const auto own = own_.find(*last);
  own->second.usable.Remove(window);
  own->second.reserved_bytes -= window.size_bytes;
  reserved_bytes_ -= window.size_bytes;
  for (const auto& [range, range_last] : neighbours)
    if (!range_last && !Touches(range, *last)) own->second.usable.Remove(range);
  if (own->second.reserved_bytes == 0) own_.erase(own);
}

std::vector<std::pair<Window, WindowAllocator::Last>> WindowAllocator::Neighbours(
    Window window) const {
  std::vector<std::pair<Window, Last>> found;
  const auto right = free_.lower_bound(window.end());
  if (right != free_.end() && right->first == window.end())
    found.emplace_back(Window{right->first, right->second.size_bytes}, right->second.last);
  const auto left = free_.lower_bound(window.offset);
  if (left == free_.begin()) return found;
  const auto& [offset, range] = *std::prev(left);
  if (offset + range.size_bytes == window.offset)
    found.emplace_back(Window{offset, range.size_bytes}, range.last);
  return found;
}

bool WindowAllocator::Touches(Window window, const Domain& domain) const {
  for (const auto& [range, last] : Neighbours(window))
    if (last == domain) return true;
  return false;
}

std::uint64_t WindowAllocator::ReservedBytes(const Domain& domain) const {
  const auto own = own_.find(domain);
  return own == own_.end() ? 0 : own->second.reserved_bytes;
}

std::uint64_t WindowAllocator::LargestBytes(const Domain& domain) const {
  const auto own = own_.find(domain);
  return std::max(clean_.largest_bytes(),
                  own == own_.end() ? 0 : own->second.usable.largest_bytes());
}

std::vector<WindowAllocator::Reservation> WindowAllocator::Reservations() const {
  std::vector<Reservation> all;
  for (const auto& [offset, range] : free_)
    if (range.last) all.push_back({{offset, range.size_bytes}, *range.last});
  return all;
}

}  // namespace hlbuf
