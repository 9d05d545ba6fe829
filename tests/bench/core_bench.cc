// SPDX-License-Identifier: Apache-2.0
// What the core alone costs: no sockets, no descriptors, a device that does nothing. For whoever
// changes the core; hl-bench measures what clients see.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <deque>
#include <random>

#include "daemon/core/broker.h"
#include "tests/support/fake_clock.h"

namespace hlbuf {
namespace {

constexpr int kNoFd = 1 << 30;  // above every NOFILE limit: closing it does nothing
constexpr std::uint64_t kPage = 4096;

struct NoNotices final : Notices {
  bool OnRevoke(RevokeReason, absl::Time, absl::Span<const RevokedLease>) override { return true; }
  void OnDevice(absl::string_view, DeviceState, std::uint64_t) override {}
  absl::Status Signal(Force) override { return absl::OkStatus(); }
};
struct NoObserver final : Observer {
  void OnEvent(const Event&) override {}
};

// Has everything, remembers nothing, and answers when told.
class NoBackend final : public Backend {
 public:
  const BackendTraits& traits() const override { return traits_; }
  void Open(Done<absl::Status> done) override {
    answers_.push_back([done = std::move(done)]() mutable { std::move(done)(absl::OkStatus()); });
  }
  void Allocate(AllocationSpec spec, Done<absl::StatusOr<Allocation>> done) override {
    answers_.push_back([this, size = spec.size_bytes, done = std::move(done)]() mutable {
      Allocation made{.size_bytes = size, .inode = ++last_inode_};
      made.fd.Reset(kNoFd);
      std::move(done)(std::move(made));
    });
  }
  void CountReferences(std::vector<int>, Done<std::vector<std::uint32_t>>) override {}
  void Free(Allocation, Done<absl::Status> done) override { Open(std::move(done)); }
  void Reset(Drill, Done<absl::Status> done) override { Open(std::move(done)); }

  void Run() {
    for (; !answers_.empty(); answers_.pop_front()) std::move(answers_.front())();
  }

 private:
  BackendTraits traits_ = {.kind = "none", .buffer_bytes_max = kPage};
  ino_t last_inode_ = 0;
  std::deque<absl::AnyInvocable<void() &&>> answers_;
};

// One client that holds `count` buffers, and may hold more leases.
class Crowd {
 public:
  explicit Crowd(std::size_t count, bool named = false)
      : broker_({.limits = Unlimited()}, Policy({}, {.clients_gid = 900}), clock_, observer_) {
    auto backend = std::make_unique<NoBackend>();
    backend_ = backend.get();
    broker_.AddDevice("none0", std::move(backend));
    backend_->Run();
    session_ = *broker_.Connect({.uid = 1000, .gid = 900, .pid = 1}, notices_);
    broker_.Greet(*session_, "bench").IgnoreError();
    ids_.reserve(count);
    while (ids_.size() < count)
      ids_.push_back(Allocate(named ? "buffer." + std::to_string(ids_.size()) : ""));
  }

  BufferId Allocate(std::string name = "") {
    LeaseId lease;
    broker_.Allocate(*session_, {.size_bytes = kPage, .name = std::move(name)},
                     [&lease](absl::StatusOr<LeaseId> granted) { lease = *granted; });
    backend_->Run();
    return broker_.ledger().FindLease(lease)->buffer->id;
  }
  void Open(absl::Span<const OpenItem> items) {
    broker_.Open(*session_, items, results_).IgnoreError();
    leases_.clear();
    for (const auto& result : results_) leases_.push_back(result->lease);
  }
  void Release() {
    broker_.Release(*session_, leases_);
    backend_->Run();
  }
  void ReleaseFirstLeaseOf(BufferId buffer) {
    leases_ = {broker_.ledger().registry.Find(buffer)->leases.front()->id};
    Release();
  }
  BufferId Any() { return ids_[engine_() % ids_.size()]; }

 private:
  static QuotaLimits Unlimited() {
    Amounts most;
    most.fill(kUnlimited);
    return {.service = most, .uid = most, .domain = most};
  }

  FakeClock clock_;
  NoObserver observer_;
  NoNotices notices_;
  Broker broker_;
  NoBackend* backend_ = nullptr;
  SessionRecord* session_ = nullptr;
  std::vector<BufferId> ids_;
  std::vector<absl::StatusOr<Grant>> results_;
  std::vector<LeaseId> leases_;
  std::minstd_rand engine_;
};

void OpenAndRelease(benchmark::State& state) {
  Crowd crowd(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    const OpenItem item = {.id = crowd.Any()};
    crowd.Open({&item, 1});
    crowd.Release();
  }
}
BENCHMARK(OpenAndRelease)->Arg(10)->Arg(1'000)->Arg(15'000)->Arg(100'000);

void OpenAndReleaseABatch(benchmark::State& state) {
  Crowd crowd(static_cast<std::size_t>(state.range(0)));
  std::vector<OpenItem> items(64);
  for (auto _ : state) {
    for (OpenItem& item : items) item.id = crowd.Any();
    crowd.Open(items);
    crowd.Release();
  }
  state.SetItemsProcessed(state.iterations() * 64);
}
BENCHMARK(OpenAndReleaseABatch)->Arg(10)->Arg(100'000);

void AllocateAndRelease(benchmark::State& state) {
  Crowd crowd(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) crowd.ReleaseFirstLeaseOf(crowd.Allocate());
}
BENCHMARK(AllocateAndRelease)->Arg(10)->Arg(100'000);

// No speed: what one live buffer with one lease costs, with all indices.
void BytesABuffer(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const std::size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  Crowd crowd(count, state.range(1) != 0);
  const std::size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
  for (auto _ : state) benchmark::DoNotOptimize(&crowd);
  state.counters["bytes"] =
      static_cast<double>(after - before) / static_cast<double>(count) - sizeof(BufferId);
}
BENCHMARK(BytesABuffer)
    ->ArgNames({"buffers", "named"})
    ->Args({15'000, 0})
    ->Args({15'000, 1})
    ->Args({100'000, 0})
    ->Args({100'000, 1})
    ->Iterations(1);

}  // namespace
}  // namespace hlbuf

BENCHMARK_MAIN();
