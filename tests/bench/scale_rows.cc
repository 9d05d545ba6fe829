// SPDX-License-Identifier: Apache-2.0
// Rows that ask what much of something costs those who need one.
#include <memory>

#include "tests/bench/rows.h"
#include "tests/bench/sides.h"

namespace hlbuf::bench {
namespace {

constexpr std::size_t kSessions = 1'000;
constexpr std::size_t kBuffers = 15'000;

// Sides in the rounds of both rows.
enum : std::size_t { kFew, kMany, kFloorOfFew, kFloorOfMany };

// How much dearer the product's operation is where there are many, with what it costs the floor
// taken out.
double Growth(const Round& r) {
  return (r[kMany].p50_us / r[kFew].p50_us) / (r[kFloorOfMany].p50_us / r[kFloorOfFew].p50_us);
}

template <class Client, class Server>
std::vector<std::unique_ptr<Client>> ConnectIdle(const Server& server) {
  std::vector<std::unique_ptr<Client>> idle;
  while (idle.size() < kSessions) idle.push_back(std::make_unique<Client>(server));
  return idle;
}

}  // namespace

std::vector<Figure> MeasureSessions(const Setting& setting) {
  Daemon quiet(setting.paths);
  Daemon crowded(setting.paths);
  Session alone(quiet.client_socket());
  Session among(crowded.client_socket());
  const auto idle = ConnectIdle<Session>(crowded.client_socket());
  const Buffers few(alone, 1);
  const Buffers many(among, 1);

  Floor quiet_floor(setting.paths, 1);
  Floor crowded_floor(setting.paths, 1);
  FloorSession alone_on_floor(quiet_floor);
  FloorSession among_on_floor(crowded_floor);
  const auto idle_on_floor = ConnectIdle<FloorSession>(crowded_floor);

  const std::vector<Round> rounds =
      Interleave(setting.effort, {OpenSide(alone, few.ids()), OpenSide(among, many.ids()),
                                  PassSide(alone_on_floor, 1), PassSide(among_on_floor, 1)});
  return {
      {.key = "sessions_1000_ratio",
       .what = "1,000 idle sessions: throughput, x one session's",
       .value = Over(rounds, [](const Round& r) { return 1 / Growth(r); }),
       .target = {Target::Kind::kAtLeast, 0.9},
       .p99 = P99Text(rounds, kMany, kFloorOfMany)},
  };
}

std::vector<Figure> MeasureBuffers(const Setting& setting) {
  Daemon small(setting.paths);
  Daemon large(setting.paths);
  Session small_owner(small.client_socket());
  Session large_owner(large.client_socket());
  Session small_session(small.client_socket());
  Session large_session(large.client_socket());
  const Buffers few(small_owner, 1);
  // What is allocated once for all is not a buffer's.
  { const Buffers first(large_owner, 64); }
  large_owner.Settle();
  const std::uint64_t before = large.AnonymousBytes();
  const Buffers many(large_owner, kBuffers);
  const double bytes =
      static_cast<double>(large.AnonymousBytes() - before) / static_cast<double>(kBuffers);

  Floor small_floor(setting.paths, 1);
  Floor large_floor(setting.paths, kBuffers);
  const FloorSession small_floor_owner(small_floor);  // idle: as many sessions as there
  const FloorSession large_floor_owner(large_floor);
  FloorSession small_floor_session(small_floor);
  FloorSession large_floor_session(large_floor);

  const std::vector<Round> rounds = Interleave(
      setting.effort, {OpenSide(small_session, few.ids()), OpenSide(large_session, many.ids()),
                       PassSide(small_floor_session, 1), PassSide(large_floor_session, kBuffers)});
  return {
      {.key = "buffers_15k_ratio",
       .what = "15,000 buffers: open any, x floor's",
       .value = Ratio(rounds, kMany, kFloorOfMany),
       .target = {Target::Kind::kAtMost, 1.10},
       .p99 = P99Text(rounds, kMany, kFloorOfMany)},
      {.key = "buffers_15k_growth",
       .what = "  x opening the only one, the floor's own taken out",
       .value = Over(rounds, Growth),
       .target = {Target::Kind::kAtMost, 1.10}},
      {.key = "anon_bytes_per_buffer",
       .what = "  anonymous memory a buffer, bytes",
       .value = QuartilesOf({bytes}),
       .target = {Target::Kind::kAtMost, 600}},
  };
}

}  // namespace hlbuf::bench
