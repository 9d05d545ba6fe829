// SPDX-License-Identifier: Apache-2.0
#include "tests/soak/pattern.h"

#include <algorithm>

namespace hlbuf {
namespace {

constexpr std::uint64_t kMagic = 0x736f'616b'2d68'6c62;  // a whole half is never blank
constexpr std::size_t kStampWords = 4;

// splitmix64: words of different stamps, or of different places, have nothing in common.
std::uint64_t Mixed(std::uint64_t x) {
  x += 0x9e37'79b9'7f4a'7c15;
  x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9;
  x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11eb;
  return x ^ (x >> 31);
}

std::uint64_t WordAt(const Stamp& stamp, std::size_t place) {
  return Mixed(Mixed(Mixed(stamp.buffer) ^ stamp.writer) ^ stamp.counter) ^ Mixed(place);
}

std::uint64_t ChecksumOf(std::span<const std::uint64_t> words) {
  std::uint64_t sum = 0;
  for (const std::uint64_t word : words) sum = Mixed(sum ^ word);
  return sum;
}

}  // namespace

void Fill(std::span<std::uint64_t> half, const Stamp& stamp) {
  half[0] = kMagic;
  half[1] = stamp.buffer;
  half[2] = stamp.writer;
  half[3] = stamp.counter;
  for (std::size_t i = kStampWords; i + 1 < half.size(); ++i) half[i] = WordAt(stamp, i);
  half.back() = ChecksumOf(half.first(half.size() - 1));
}

Finding Judge(std::span<const std::uint64_t> half) {
  if (std::all_of(half.begin(), half.end(), [](std::uint64_t word) { return word == 0; }))
    return {.kind = Finding::Kind::kBlank};
  const Stamp stamp = {.buffer = half[1], .writer = half[2], .counter = half[3]};
  if (half[0] != kMagic || half.back() != ChecksumOf(half.first(half.size() - 1)))
    return {.kind = Finding::Kind::kTorn};
  for (std::size_t i = kStampWords; i + 1 < half.size(); ++i)
    if (half[i] != WordAt(stamp, i)) return {.kind = Finding::Kind::kTorn};
  return {.kind = Finding::Kind::kWhole, .stamp = stamp};
}

}  // namespace hlbuf
