// SPDX-License-Identifier: Apache-2.0
// Rows of one client that asks for what exists, and of one that makes it.
#include "tests/bench/rows.h"
#include "tests/bench/sides.h"

namespace hlbuf::bench {
namespace {

constexpr std::size_t kBatch = 64;

// A product and a floor, each with a client; `count` buffers exist on either side.
struct Pair {
  Pair(const Paths& paths, std::size_t count)
      : daemon(paths),
        owner(daemon.client_socket()),
        buffers(owner, count),
        session(daemon.client_socket()),
        floor(paths, count),
        floor_owner(floor),
        floor_session(floor) {}

  Daemon daemon;
  Session owner;
  Buffers buffers;
  Session session;
  Floor floor;
  FloorSession floor_owner;  // idle: as many sessions as there
  FloorSession floor_session;
};

}  // namespace

std::vector<Figure> MeasureOpen(const Setting& setting) {
  Pair pair(setting.paths, 1);
  const std::vector<Round> rounds =
      Interleave(setting.effort,
                 {OpenSide(pair.session, pair.buffers.ids()), PassSide(pair.floor_session, 1)});
  return {
      {.key = "open_p50_ratio",
       .what = "open one buffer, x floor",
       .value = Ratio(rounds, 0, 1),
       .target = {Target::Kind::kAtMost, 1.25},
       .p99 = P99Text(rounds, 0, 1)},
      {.key = "open_p50_us", .what = "  open, p50 us", .value = P50(rounds, 0)},
      {.key = "floor_p50_us", .what = "  floor, p50 us", .value = P50(rounds, 1)},
      {.key = "open_p99_us", .what = "  open, p99 us", .value = P99(rounds, 0)},
      {.key = "floor_p99_us", .what = "  floor, p99 us", .value = P99(rounds, 1)},
  };
}

std::vector<Figure> MeasureBatch(const Setting& setting) {
  Pair pair(setting.paths, kBatch);
  const std::vector<Round> rounds = Interleave(
      setting.effort,
      {OpenManySide(pair.session, pair.buffers.ids()), PassManySide(pair.floor_session, kBatch)});
  const auto million_a_second = [&rounds](std::size_t side) {
    return Over(rounds, [side](const Round& r) { return kBatch / r[side].p50_us; });
  };
  return {
      {.key = "batch64_fds_ratio",
       .what = "open 64 at once, FDs/s, x floor's",
       .value = Ratio(rounds, 1, 0),  // what takes twice as long passes half as many
       .target = {Target::Kind::kAtLeast, 0.8},
       .p99 = P99Text(rounds, 0, 1)},
      {.key = "batch64_million_fds_per_s",
       .what = "  open, million FDs/s",
       .value = million_a_second(0)},
      {.key = "floor64_million_fds_per_s",
       .what = "  floor, million FDs/s",
       .value = million_a_second(1)},
  };
}

std::vector<Figure> MeasureAllocate(const Setting& setting) {
  Pair pair(setting.paths, 1);
  const std::vector<Round> rounds =
      Interleave(setting.effort, {AllocateSide(pair.session), MakeSide(pair.floor_session)});
  return {
      {.key = "alloc_ratio",
       .what = "allocate + release, x floor",
       .value = Ratio(rounds, 0, 1),
       .target = {Target::Kind::kAtMost, 3},
       .p99 = P99Text(rounds, 0, 1)},
      {.key = "alloc_p50_us", .what = "  allocate + release, p50 us", .value = P50(rounds, 0)},
      {.key = "alloc_floor_p50_us", .what = "  floor, p50 us", .value = P50(rounds, 1)},
  };
}

}  // namespace hlbuf::bench
