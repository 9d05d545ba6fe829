// SPDX-License-Identifier: Apache-2.0
// What the clients of a soak and their test share: one mapped file, with a place for each client.
#ifndef HLBUF_TESTS_SOAK_BOARD_H_
#define HLBUF_TESTS_SOAK_BOARD_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace hlbuf {

inline constexpr std::size_t kSoakClientsMax = 16;

enum class SoakCommand : std::uint32_t {
  kRun,
  kPause,  // they keep what they hold, and ask for nothing
  kRest,   // they hold nothing
  kEnd,
};

// Written by its client alone.
struct SoakPlace {
  std::atomic<std::uint64_t> offered;  // a buffer that others may open, 0: none
  std::atomic<std::uint64_t> grants;
  std::atomic<std::uint64_t> revoked;  // leases
  std::atomic<std::uint64_t> held;     // leases
  std::atomic<SoakCommand> does;       // what it has come to do; kEnd: it has ended
  std::atomic<std::uint32_t> failed;   // 1: see `failure`
  std::array<char, 256> failure;       // written before `failed`
};

struct SoakBoard {
  std::atomic<SoakCommand> command;
  std::array<SoakPlace, kSoakClientsMax> places;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SOAK_BOARD_H_
