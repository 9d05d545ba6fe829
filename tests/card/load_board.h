// SPDX-License-Identifier: Apache-2.0
// What the clients of a load and their test share: one mapped file, with a place for each client.
#ifndef HLBUF_TESTS_CARD_LOAD_BOARD_H_
#define HLBUF_TESTS_CARD_LOAD_BOARD_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace hlbuf {

inline constexpr std::size_t kLoadClientsMax = 16;

enum class LoadCommand : std::uint32_t { kRun, kRest, kEnd };

// Written by its client alone.
struct LoadPlace {
  std::atomic<std::uint64_t> offered;      // a buffer that others may open, 0: none
  std::atomic<std::uint64_t> allocated;    // buffers
  std::atomic<std::uint64_t> opened;       // of others
  std::atomic<std::uint64_t> checked;      // contents that were compared, byte by byte
  std::atomic<std::uint64_t> revoked;      // leases
  std::atomic<std::uint64_t> unavailable;  // requests refused by DEVICE_UNAVAILABLE or REVOKED
  std::atomic<std::uint64_t> gone;         // the owner was faster
  std::atomic<std::uint64_t> mixed_up;     // contents that were not what their owner had written
  std::atomic<std::uint64_t> failed;       // whatever else went wrong
  std::atomic<std::uint32_t> resting;      // 1: holds nothing, until it is told to run
  std::array<char, 256> first_failure;     // written before `failed` becomes 1
};

struct LoadBoard {
  std::atomic<LoadCommand> command;
  std::array<LoadPlace, kLoadClientsMax> places;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace hlbuf

#endif  // HLBUF_TESTS_CARD_LOAD_BOARD_H_
