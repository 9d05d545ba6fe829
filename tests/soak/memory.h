// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SOAK_MEMORY_H_
#define HLBUF_TESTS_SOAK_MEMORY_H_

#include <cstdint>
#include <memory>
#include <span>

#include "hlbuf/hlbuf.hpp"
#include "tests/card/registrations.h"

namespace hlbuf {

// The bytes of a leased buffer, as its holder gets at them, for as long as this object lives: the
// processor's mapping, or what an importer has registered.
class Memory {
 public:
  virtual ~Memory() = default;
  // Words from word `at` on; false and an errno: it could not.
  virtual bool Read(std::size_t at, std::span<std::uint64_t> words) const = 0;
  virtual bool Write(std::size_t at, std::span<const std::uint64_t> words) const = 0;
};

// By the importer where there is one, whose memory no processor can map. Null and an errno: it
// could not.
std::unique_ptr<Memory> MemoryOf(const Buffer& buffer, const Registrations& registrations);

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SOAK_MEMORY_H_
