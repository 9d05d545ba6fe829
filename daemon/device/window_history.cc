// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/window_history.h"

#include <algorithm>
#include <iterator>

namespace hlbuf {

WindowHistory::Runs::iterator WindowHistory::FirstThatTouches(Window window) {
  const auto it = runs_.upper_bound(window.offset);
  if (it != runs_.begin() && std::prev(it)->second.end >= window.offset) return std::prev(it);
  return it;
}

// The longer run is noted before those that it takes the place of are forgotten: a process that is
// killed in between leaves the same bytes noted twice, of the same domain.
void WindowHistory::Add(Window window, const Domain& domain, Notebook& notes) {
  auto it = FirstThatTouches(window);
  if (it != runs_.end() && it->second.domain != domain && it->second.end <= window.offset) ++it;
  if (it != runs_.end() && it->second.domain == domain && it->first <= window.offset &&
      it->second.end >= window.end())
    return;
  std::uint64_t begin = window.offset;
  std::uint64_t end = window.end();
  std::vector<std::uint64_t> swallowed;
  while (it != runs_.end() && it->first <= end && it->second.domain == domain) {
    begin = std::min(begin, it->first);
    end = std::max(end, it->second.end);
    swallowed.push_back(it->first);
    it = runs_.erase(it);
  }
  runs_.emplace(begin, Run{.end = end, .domain = domain});
  const Window run{.offset = begin, .size_bytes = end - begin};
  notes.Write(NoteOf(BytesNote{.place = {.chunk = chunk_, .window = run}, .domain = domain}));
  for (const std::uint64_t offset : swallowed)
    if (offset != begin) notes.Write(ForgetBytes(chunk_, offset));
}

bool WindowHistory::Load(Window window, const Domain& domain) {
  if (window.size_bytes == 0 || window.end() < window.offset) return false;
  for (auto it = FirstThatTouches(window); it != runs_.end() && it->first < window.end(); ++it)
    if (it->second.domain != domain && it->second.end > window.offset) return false;
  Notebook nowhere;
  Add(window, domain, nowhere);
  return true;
}

void WindowHistory::Clear(Notebook& notes) {
  for (const auto& [offset, run] : runs_) notes.Write(ForgetBytes(chunk_, offset));
  runs_.clear();
}

const Domain* WindowHistory::DomainOf(Window window) const {
  const auto it = runs_.upper_bound(window.offset);
  if (it == runs_.begin() || std::prev(it)->second.end < window.end()) return nullptr;
  return &std::prev(it)->second.domain;
}

std::vector<BytesNote> WindowHistory::all() const {
  std::vector<BytesNote> all;
  for (const auto& [offset, run] : runs_)
    all.push_back(
        {.place = {.chunk = chunk_, .window = {.offset = offset, .size_bytes = run.end - offset}},
         .domain = run.domain});
  return all;
}

}  // namespace hlbuf
