// SPDX-License-Identifier: Apache-2.0
// The core alone, in this process: no sockets, no descriptors, a device made of numbers.
#include <sys/mman.h>

#include <memory>
#include <random>

#include "daemon/persist/journal_recorder.h"
#include "tests/bench/die.h"
#include "tests/bench/rows.h"
#include "tests/support/broker_rig.h"

namespace hlbuf::bench {
namespace {

constexpr std::size_t kFewBuffers = 10;
constexpr std::size_t kManyBuffers = 100'000;
constexpr std::size_t kRun = 256;  // opens in a row: the clock costs about as much as one of them

// A broker whose owner holds `count` buffers, and a client that opens them.
class Core {
 public:
  explicit Core(std::size_t count, Recorder& recorder = Recorder::None())
      : rig_({.recorder = &recorder}), owner_(rig_.Connect(PeerOf(1000))) {
    rig_.observer.remember = false;
    while (ids_.size() < count) ids_.push_back(rig_.Buffer(owner_));
  }

  // Opens any of the first `among`; one measurement is the mean of a run.
  Side OpenSide(std::size_t among) {
    return [this, engine = std::minstd_rand(),
            place = std::uniform_int_distribution<std::size_t>(0, among - 1)](
               std::vector<double>& micros) mutable {
      std::vector<OpenItem> items(kRun);
      std::vector<LeaseId> leases;
      leases.reserve(kRun);
      for (OpenItem& item : items) item.id = ids_[place(engine)];
      const double begin = NowMicros();
      for (const OpenItem& item : items) {
        rig_.broker.Open(opener_.session(), {&item, 1}, results_).IgnoreError();
        leases.push_back(results_.front()->lease);
      }
      micros.push_back((NowMicros() - begin) / kRun);
      rig_.broker.Release(opener_.session(), leases);
    };
  }

 private:
  BrokerRig rig_;
  FakeClient& owner_;
  FakeClient& opener_ = rig_.Connect(PeerOf(1000));
  std::vector<BufferId> ids_;
  std::vector<absl::StatusOr<Grant>> results_;
};

std::unique_ptr<Journal> NewJournal() {
  UniqueFd file(::memfd_create("journal", MFD_CLOEXEC));
  absl::StatusOr<std::unique_ptr<Journal>> journal = Journal::Create(std::move(file), {}, "bench");
  if (!journal.ok()) Die(std::string(journal.status().message()));
  return *std::move(journal);
}

// What side `a` takes more than side `b`.
Quartiles MoreNanos(const std::vector<Round>& rounds, std::size_t a, std::size_t b) {
  return Over(rounds, [=](const Round& r) { return (r[a].p50_us - r[b].p50_us) * 1000; });
}

}  // namespace

std::vector<Figure> MeasureCore(const Setting& setting) {
  Core few(kFewBuffers);
  Core many(kManyBuffers);
  const std::unique_ptr<Journal> journal = NewJournal();
  JournalRecorder recorder(*journal, [](const absl::Status& why) {
    Die("the journal was given up: " + std::string(why.message()));
  });
  Core written(kFewBuffers, recorder);
  enum : std::size_t { kFew, kAny, kSame, kWritten };
  Effort effort = setting.effort;
  effort.samples = effort.samples / 16 + 1;
  const std::vector<Round> rounds =
      Interleave(effort, {few.OpenSide(kFewBuffers), many.OpenSide(kManyBuffers),
                          many.OpenSide(kFewBuffers), written.OpenSide(kFewBuffers)});
  return {
      {.key = "core_100k_ratio",
       .what = "core alone: open any of 100,000 buffers, x one of 10",
       .value = Ratio(rounds, kAny, kFew),
       .target = {Target::Kind::kAtMost, 1.10},
       .p99 = P99Text(rounds, kAny, kFew)},
      {.key = "core_100k_same10_ratio",
       .what = "  always the same 10 of 100,000, x one of 10",
       .value = Ratio(rounds, kSame, kFew),
       .target = {Target::Kind::kAtMost, 1.10},
       .p99 = P99Text(rounds, kSame, kFew)},
      {.key = "journal_ns_per_grant",
       .what = "  written into the journal, ns more a grant",
       .value = MoreNanos(rounds, kWritten, kFew),
       .target = {Target::Kind::kAtMost, 1000}},
      {.key = "core_10_p50_us", .what = "  open one of 10, us", .value = P50(rounds, kFew)},
      {.key = "core_100k_p50_us", .what = "  open any of 100,000, us", .value = P50(rounds, kAny)},
  };
}

}  // namespace hlbuf::bench
