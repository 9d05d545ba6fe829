// SPDX-License-Identifier: Apache-2.0
// For tests of DeviceWorker: a loop that runs when it is told to, and an exporter that waits.
#ifndef HLBUF_DAEMON_DEVICE_TEST_WORKER_RIG_H_
#define HLBUF_DAEMON_DEVICE_TEST_WORKER_RIG_H_

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/core/error.h"
#include "daemon/device/device_worker.h"

namespace hlbuf {

inline constexpr std::chrono::seconds kLong{60};

// The test's own thread is the broker thread: it runs what was posted when the test says so.
class TestLoop final : public Reactor {
 public:
  absl::StatusOr<std::unique_ptr<FdWatch>> WatchFd(int, std::uint32_t events,
                                                   IoTask task) override {
    watched_for = events;
    on_ready = std::move(task);
    return std::make_unique<FdWatch>();
  }
  void Post(absl::AnyInvocable<void() &&> task) override {
    const std::lock_guard lock(mutex_);
    ++posts_;
    tasks_.push_back(std::move(task));
    posted_.notify_one();
  }
  // Runs tasks until `done`; false: it never was.
  template <class Condition>
  bool RunUntil(Condition done) {
    const auto deadline = std::chrono::steady_clock::now() + kLong;
    while (!done()) {
      absl::AnyInvocable<void() &&> task;
      {
        std::unique_lock lock(mutex_);
        if (!posted_.wait_until(lock, deadline, [this] { return !tasks_.empty(); })) return false;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      std::move(task)();
    }
    return true;
  }
  // Until something is posted, which stays; false: nothing is.
  bool AwaitPost() {
    std::unique_lock lock(mutex_);
    return posted_.wait_for(lock, kLong, [this] { return !tasks_.empty(); });
  }
  int posts() {
    const std::lock_guard lock(mutex_);
    return posts_;
  }
  // What is posted by now, without waiting.
  void RunPosted() {
    const int count = [&] {
      const std::lock_guard lock(mutex_);
      return static_cast<int>(tasks_.size());
    }();
    int ran = 0;
    RunUntil([&] { return ran++ == count; });
  }
  std::uint32_t watched_for = 0;
  IoTask on_ready;

 private:
  std::mutex mutex_;
  std::condition_variable posted_;
  int posts_ = 0;
  std::deque<absl::AnyInvocable<void() &&>> tasks_;
};

class Gate {
 public:
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  bool Wait() {
    std::unique_lock lock(mutex_);
    return opened_.wait_for(lock, kLong, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

// Shared with the test, which outlives the worker.
struct Script {
  Gate reached;        // an Export() of kGate bytes has begun,
  Gate go_on;          // and ends after this
  std::string copies;  // a file that DropCopies() overwrites with "count: 1"
  bool has_copies = false;
  std::vector<int> kept_again;
  std::atomic<int> ahead = -1;  // what WriteAhead() returned
  int alarm_fd = -1;
  int damage_fd = -1;
  std::atomic<int> mended = 0;
  std::atomic<std::uint64_t> reserved = 0;
  std::atomic<KeeperRole> keeper = KeeperRole::kNone;
  std::atomic<bool> grown = false;
  std::atomic<bool> signals_blocked = false;
  std::atomic<std::thread::id> thread;
};
inline constexpr std::uint64_t kGate = 4096;
inline constexpr std::uint64_t kPlain = 8192;
inline constexpr std::uint64_t kRefused = 12288;

class ScriptedExporter final : public Exporter {
 public:
  explicit ScriptedExporter(Script& script) : script_(script) { traits_.kind = "scripted"; }
  const BackendTraits& traits() const override { return traits_; }
  absl::Status Open() override {
    script_.thread = std::this_thread::get_id();
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    script_.signals_blocked = sigismember(&blocked, SIGTERM) == 1;
    traits_.buffer_bytes_max = 1 << 20;
    return absl::OkStatus();
  }
  absl::StatusOr<Allocation> Export(const AllocationSpec& spec) override {
    if (spec.size_bytes == kRefused) return Error(ErrorCode::kNoMemory, "full");
    if (spec.size_bytes == kGate) {
      script_.reached.Open();
      script_.go_on.Wait();
    }
    return Allocation{.fd = UniqueFd(memfd_create("scripted", MFD_CLOEXEC)),
                      .size_bytes = spec.size_bytes};
  }
  absl::StatusOr<Resumed> Resume(const Resumption& from) override {
    traits_.buffer_bytes_max = 1 << 20;
    Resumed resumed{.fds = {}, .memory_is_gone = false, .lost = "one"};
    for (const Resumption::Buffer& buffer : from.buffers)
      resumed.fds.emplace_back(buffer.inode == 0 ? -1 : memfd_create("resumed", MFD_CLOEXEC));
    for (const DeviceNote& note : from.notes)
      notebook_->Write({.key = note.key, .bytes = note.bytes + " again"});
    return resumed;
  }
  void WriteNotesTo(Notebook& notebook) override { notebook_ = &notebook; }
  std::optional<Alarm> CheckAlarm() override {
    script_.ahead = notebook_->WriteAhead({.key = 9, .bytes = "reading"}) ? 1 : 0;
    return std::nullopt;
  }
  absl::Status Free(Allocation) override { return absl::OkStatus(); }
  absl::Status Reset(Drill) override { return absl::OkStatus(); }
  bool HasCopy(int) const override { return script_.has_copies; }
  void DropCopies(absl::Span<const int> fds) override {
    if (!script_.copies.empty() && !fds.empty())
      std::ofstream(script_.copies) << "pos:\t0\ncount:\t1\n";
  }
  void KeepCopies(absl::Span<const int> fds) override {
    script_.kept_again.assign(fds.begin(), fds.end());
  }
  std::uint64_t reserved_bytes() const override { return script_.reserved; }
  KeeperRole keeper() const override { return script_.keeper; }
  int alarm_fd() const override { return script_.alarm_fd; }
  int damage_fd() const override { return script_.damage_fd; }
  void Mend() override { ++script_.mended; }
  void Interrupt() override { script_.go_on.Open(); }

 private:
  Script& script_;
  BackendTraits traits_;
  Notebook* notebook_ = nullptr;
};

class DeviceWorkerTest : public testing::Test {
 protected:
  DeviceWorkerTest() : fdinfo_(testing::TempDir() + "hlbuf_worker_XXXXXX") {
    EXPECT_NE(mkdtemp(fdinfo_.data()), nullptr);
    Start();
  }
  void Start() {
    worker_ = std::make_unique<DeviceWorker>("device", std::make_unique<ScriptedExporter>(script_),
                                             loop_, ReferenceCounter(fdinfo_));
  }
  ~DeviceWorkerTest() override {
    GoOn();
    worker_.reset();
    std::filesystem::remove_all(fdinfo_);
  }

  void Allocate(std::uint64_t size_bytes, const std::string& what) {
    worker_->Allocate({.size_bytes = size_bytes}, [this, what](absl::StatusOr<Allocation> made) {
      done_.push_back(made.ok() ? what : what + " refused");
    });
  }
  void Count(std::size_t descriptors, const std::string& what) {
    worker_->CountReferences(std::vector<int>(descriptors, 7),
                             [this, what](std::vector<std::uint32_t> counts) {
                               counts_ = std::move(counts);
                               done_.push_back(what);
                             });
  }
  void Reset(const std::string& what) {
    worker_->Reset(Drill::kNone, [this, what](absl::Status) { done_.push_back(what); });
  }
  // From now on everything waits behind one Export(), until GoOn().
  void HoldUp() {
    Allocate(kGate, "gate");
    ASSERT_TRUE(script_.reached.Wait());
  }
  void GoOn() { script_.go_on.Open(); }
  bool RunUntilDone(std::size_t count) {
    return loop_.RunUntil([&] { return done_.size() >= count; });
  }

  std::string fdinfo_;
  Script script_;
  TestLoop loop_;
  std::vector<std::string> done_;
  std::vector<std::uint32_t> counts_;
  std::unique_ptr<DeviceWorker> worker_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_TEST_WORKER_RIG_H_
