// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_backend.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

constexpr int kFirstFd = 1 << 30;  // above every NOFILE limit

int FdOf(ino_t inode) { return kFirstFd + static_cast<int>(inode); }
ino_t InodeOf(int fd) { return static_cast<ino_t>(fd - kFirstFd); }

}  // namespace

BackendTraits FakeBackend::DefaultTraits() {
  return {.kind = "fake",
          .page_bytes = 4096,
          .buffer_bytes_max = 1 << 30,
          .counts_references = true,
          .can_drill = true};
}

bool FakeBackend::WorkOn(std::deque<Request>& queue) {
  if (queue.empty()) return false;
  Request request = std::move(queue.front());
  queue.pop_front();
  done_.push_back(std::move(request.work)());
  return true;
}

bool FakeBackend::Work() {
  if (!prompt_.empty() && prompt_.front().barrier)
    while (!counts_.empty() && counts_.front().sequence < prompt_.front().sequence) WorkOnCount();
  return WorkOn(prompt_);
}

bool FakeBackend::WorkOnCount() { return WorkOn(counts_); }

void FakeBackend::Run() {
  while (Work() || WorkOnCount() || Deliver()) {
  }
}

bool FakeBackend::Deliver() {
  if (done_.empty()) return false;
  Finished finished = std::move(done_.front());
  done_.pop_front();
  delivered = std::move(finished.answer);
  std::move(finished.tell)();
  return true;
}

std::uint32_t FakeBackend::others(ino_t inode) const {
  const auto it = others_.find(inode);
  return it == others_.end() ? 0 : it->second;
}

template <class T, class Job>
void FakeBackend::Ask(std::deque<Request>& queue, Done<T> done, Job job, bool barrier) {
  auto request = [this, done = std::move(done), job = std::move(job)]() mutable -> Finished {
    doing_ = Answer();
    auto result = job();
    if constexpr (requires { result.ok(); }) doing_.ok = result.ok();
    return {.answer = std::move(doing_),
            .tell = [done = std::move(done), result = std::move(result)]() mutable {
              std::move(done)(std::move(result));
            }};
  };
  queue.push_back({.work = std::move(request), .sequence = ++asked_, .barrier = barrier});
}

void FakeBackend::Called(std::string words) {
  calls.push_back(words);
  doing_.call = std::move(words);
}

void FakeBackend::Open(Done<absl::Status> done) {
  Ask(prompt_, std::move(done), [this] {
    Called("open");
    absl::Status opened = std::exchange(fail_open, absl::OkStatus());
    open_ = opened.ok();
    return opened;
  });
}

void FakeBackend::LoseAsker() {
  prompt_.clear();
  counts_.clear();
  counting_.clear();
  done_.clear();
  GiveSign = nullptr;
  take_note_ = nullptr;
}

void FakeBackend::Resume(Resumption from, Done<absl::StatusOr<Resumed>> done) {
  Ask(prompt_, std::move(done), [this, from = std::move(from)] { return TakeUp(from); });
}

// As a keeper: gives back what it has of what is asked for, and drops all else.
absl::StatusOr<Resumed> FakeBackend::TakeUp(const Resumption& from) {
  Called("resume");
  resumed_from = from;
  for (const DeviceNote& note : std::exchange(finds, {})) take_note_(note);
  if (!fail_resume.ok()) return std::exchange(fail_resume, absl::OkStatus());
  const auto had = std::exchange(sizes_, {});
  if (std::exchange(memory_is_gone, false) || (!traits_.survives_reset && !open_)) {
    open_ = false;
    return Resumed{.memory_is_gone = true};
  }
  open_ = true;
  Resumed resumed;
  for (const Resumption::Buffer& buffer : from.buffers) {
    sizes_[buffer.inode] = buffer.size_bytes;
    const bool kept = had.contains(buffer.inode) && !lost_descriptors.contains(buffer.inode);
    resumed.fds.emplace_back(kept ? FdOf(buffer.inode) : -1);
  }
  return resumed;
}

void FakeBackend::Allocate(AllocationSpec spec, Done<absl::StatusOr<Allocation>> done) {
  Ask(prompt_, std::move(done), [this, spec = std::move(spec)] { return Export(spec); });
}

absl::StatusOr<Allocation> FakeBackend::Export(const AllocationSpec& spec) {
  Called(absl::StrCat("allocate ", spec.size_bytes));
  if (!open_) violations.push_back("allocation on a closed device");
  if (!fail_allocate.ok()) return std::exchange(fail_allocate, absl::OkStatus());
  const ino_t inode = ++last_inode_;
  sizes_[inode] = spec.size_bytes;
  Allocation allocation;
  allocation.fd.Reset(FdOf(inode));
  allocation.size_bytes = spec.size_bytes;
  allocation.window = inode * traits_.buffer_bytes_max;
  allocation.inode = inode;
  return allocation;
}

void FakeBackend::CountReferences(std::vector<int> fds, Done<std::vector<std::uint32_t>> done) {
  for (const int fd : fds) counting_.insert(InodeOf(fd));
  auto answered = [this, fds, done = std::move(done)](std::vector<std::uint32_t> counts) mutable {
    for (const int fd : fds) counting_.erase(InodeOf(fd));
    std::move(done)(std::move(counts));
  };
  Ask(counts_, Done<std::vector<std::uint32_t>>(std::move(answered)), [this, fds = std::move(fds)] {
    Called(absl::StrCat("count ", fds.size()));
    if (!traits_.counts_references) violations.push_back("count on a device that has none");
    std::vector<std::uint32_t> counts;
    for (const int fd : fds) {
      if (!sizes_.contains(InodeOf(fd))) violations.push_back("count of a closed descriptor");
      counts.push_back(Count(fd));
      doing_.counts.emplace_back(InodeOf(fd), counts.back());
    }
    return counts;
  });
}

std::uint32_t FakeBackend::Count(int fd) const { return unreadable ? 0 : 1 + others(InodeOf(fd)); }

void FakeBackend::Free(Allocation allocation, Done<absl::Status> done) {
  Ask(prompt_, std::move(done),
      [this, allocation = std::move(allocation)] { return TakeBack(allocation); });
}

void FakeBackend::FreeBlind(std::vector<std::uint64_t> windows, Done<std::vector<bool>> done) {
  Ask(prompt_, std::move(done), [this, windows = std::move(windows)] {
    Called(absl::StrCat("free blind ", windows.size()));
    std::vector<bool> freed;
    for (const std::uint64_t window : windows)
      freed.push_back(witnesses && sizes_.erase(window / traits_.buffer_bytes_max) == 1);
    return freed;
  });
}

absl::Status FakeBackend::TakeBack(const Allocation& allocation) {
  Called(absl::StrCat("free ", allocation.inode));
  if (sizes_.erase(allocation.inode) == 0)
    violations.push_back(absl::StrCat("free of ", allocation.inode, ", which is not allocated"));
  const bool blind = !allocation.fd;
  if (traits_.counts_references && traits_.survives_reset && !blind && others(allocation.inode) > 0)
    violations.push_back(absl::StrCat("free of ", allocation.inode, " while others hold it"));
  others_.erase(allocation.inode);
  return std::exchange(fail_free, absl::OkStatus());
}

void FakeBackend::CheckAlarm(Done<std::optional<Alarm>> done) {
  Ask(prompt_, std::move(done), [this] {
    if (!traits_.raises_alarms) violations.push_back("a device that says nothing was asked");
    doing_.call = "alarm";
    return doing_.alarm = alarm;
  });
}

void FakeBackend::Reset(Drill drill, Done<absl::Status> done) {
  Ask(
      prompt_, std::move(done),
      [this, drill]() -> absl::Status {
        Called("reset");
        open_ = false;
        alarm.reset();
        if (!traits_.survives_reset && !sizes_.empty())
          violations.push_back("reset while memory that goes with it is out");
        if (drill == Drill::kFails && !reset_always_succeeds)
          return Error(ErrorCode::kDeviceError, "the drill says that the device stays away");
        return std::exchange(fail_reset, absl::OkStatus());
      },
      true);
}

}  // namespace hlbuf
