// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/sides.h"

#include <unistd.h>

#include <array>
#include <memory>
#include <random>

namespace hlbuf::bench {
namespace {

// Operations in a row, before the other side has its turn.
constexpr std::size_t kRun = 64;

// Places below a bound, the same in each run of the benchmark.
class Dice {
 public:
  explicit Dice(std::size_t bound) : place_(0, bound - 1) {}
  std::size_t Throw() { return place_(engine_); }

 private:
  std::minstd_rand engine_;
  std::uniform_int_distribution<std::size_t> place_;
};

std::array<std::size_t, kRun> ThrowRun(Dice& dice) {
  std::array<std::size_t, kRun> places;
  for (std::size_t& place : places) place = dice.Throw();
  return places;
}

void PassAndClose(FloorSession& session, const FloorMessage& request, std::vector<double>& micros) {
  const double begin = NowMicros();
  session.Send(request);
  session.Receive();
  for (std::size_t i = 0; i < session.fd_count(); ++i) ::close(session.fds()[i]);
  micros.push_back(NowMicros() - begin);
}

// What the product's side sends behind a run as well, and is not timed: a message that nobody
// answers, and one that is answered. The first wakes a server while its client goes on, so the
// scheduler moves it to another core; a server that never gets one stays beside its client and is
// woken for a fifth of the price.
void SettleFloor(FloorSession& session) {
  session.Send({.verb = FloorVerb::kRelease});
  std::vector<double> untimed;
  PassAndClose(session, {.verb = FloorVerb::kPass, .count = 1}, untimed);
}

}  // namespace

Side OpenSide(Session& session, const std::vector<std::uint64_t>& ids) {
  return [&session, &ids, dice = Dice(ids.size())](std::vector<double>& micros) mutable {
    std::array<hlbuf_buffer*, kRun> opened;
    const std::array<std::size_t, kRun> places = ThrowRun(dice);
    for (std::size_t i = 0; i < kRun; ++i) {
      const double begin = NowMicros();
      opened[i] = session.Open(ids[places[i]]);
      ::close(hlbuf_buffer_take_fd(opened[i]));
      micros.push_back(NowMicros() - begin);
    }
    hlbuf_buffers_release(opened.data(), opened.size());
    session.Settle();
  };
}

Side PassSide(FloorSession& session, std::size_t descriptors) {
  return [&session, dice = Dice(descriptors)](std::vector<double>& micros) mutable {
    for (const std::size_t place : ThrowRun(dice))
      PassAndClose(
          session,
          {.verb = FloorVerb::kPass, .count = 1, .first = static_cast<std::uint32_t>(place)},
          micros);
    SettleFloor(session);
  };
}

Side OpenManySide(Session& session, const std::vector<std::uint64_t>& ids) {
  std::vector<hlbuf_open_item> items;
  for (const std::uint64_t id : ids) items.push_back({.buffer_id = id});
  std::vector<hlbuf_open_result> results(ids.size());
  std::vector<hlbuf_buffer*> opened(ids.size());
  return [&session, items, results, opened](std::vector<double>& micros) mutable {
    const double begin = NowMicros();
    session.OpenMany(items.data(), items.size(), results.data());
    for (const hlbuf_open_result& result : results) ::close(hlbuf_buffer_take_fd(result.buffer));
    micros.push_back(NowMicros() - begin);
    for (std::size_t i = 0; i < results.size(); ++i) opened[i] = results[i].buffer;
    hlbuf_buffers_release(opened.data(), opened.size());
    session.Settle();
  };
}

Side PassManySide(FloorSession& session, std::size_t count) {
  return [&session, count](std::vector<double>& micros) {
    PassAndClose(session, {.verb = FloorVerb::kPass, .count = static_cast<std::uint32_t>(count)},
                 micros);
    SettleFloor(session);
  };
}

Side AllocateSide(Session& session) {
  return [&session](std::vector<double>& micros) {
    for (std::size_t i = 0; i < kRun; ++i) {
      const double begin = NowMicros();
      hlbuf_buffer_release(session.Allocate());
      micros.push_back(NowMicros() - begin);
    }
    session.Settle();
  };
}

Side MakeSide(FloorSession& session) {
  return [&session](std::vector<double>& micros) {
    for (std::size_t i = 0; i < kRun; ++i)
      PassAndClose(session, {.verb = FloorVerb::kAllocate}, micros);
    SettleFloor(session);
  };
}

}  // namespace hlbuf::bench
