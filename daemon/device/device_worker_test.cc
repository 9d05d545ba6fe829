// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/device_worker.h"

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
#include "daemon/device/fake_syscalls.h"

namespace hlbuf {
namespace {

constexpr std::chrono::seconds kLong{60};

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
  std::vector<int> kept_again;
  std::atomic<int> ahead = -1;  // what WriteAhead() returned
  int alarm_fd = -1;
  int damage_fd = -1;
  std::atomic<int> mended = 0;
  std::atomic<std::uint64_t> reserved = 0;
  std::atomic<bool> grown = false;
  std::atomic<bool> signals_blocked = false;
  std::atomic<std::thread::id> thread;
};
constexpr std::uint64_t kGate = 4096;
constexpr std::uint64_t kPlain = 8192;
constexpr std::uint64_t kRefused = 12288;

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
  void DropCopies(absl::Span<const int> fds) override {
    if (!script_.copies.empty() && !fds.empty())
      std::ofstream(script_.copies) << "pos:\t0\ncount:\t1\n";
  }
  void KeepCopies(absl::Span<const int> fds) override {
    script_.kept_again.assign(fds.begin(), fds.end());
  }
  std::uint64_t reserved_bytes() const override { return script_.reserved; }
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

TEST_F(DeviceWorkerTest, WorksElsewhereAndAnswersHere) {
  std::thread::id answered;
  worker_->Open([&](absl::Status) { answered = std::this_thread::get_id(); });
  EXPECT_EQ(answered, std::thread::id());
  ASSERT_TRUE(loop_.RunUntil([&] { return answered != std::thread::id(); }));
  EXPECT_EQ(answered, std::this_thread::get_id());
  EXPECT_NE(script_.thread.load(), std::this_thread::get_id());
  EXPECT_TRUE(script_.signals_blocked);
}

TEST_F(DeviceWorkerTest, HandsResultsAndRefusalsOn) {
  UniqueFd got;
  worker_->Allocate({.size_bytes = kPlain}, [&](absl::StatusOr<Allocation> made) {
    ASSERT_TRUE(made.ok());
    EXPECT_EQ(made->size_bytes, kPlain);
    got = std::move(made->fd);
  });
  ErrorCode refused{};
  worker_->Allocate({.size_bytes = kRefused},
                    [&](absl::StatusOr<Allocation> made) { refused = ErrorCodeOf(made.status()); });
  ASSERT_TRUE(loop_.RunUntil([&] { return refused != ErrorCode{}; }));
  EXPECT_TRUE(got);
  EXPECT_EQ(refused, ErrorCode::kNoMemory);
}

TEST_F(DeviceWorkerTest, ChangesItsTraitsOnlyWhenOpenIsAnswered) {
  HoldUp();
  bool answered = false;
  worker_->Open([&](absl::Status) { answered = true; });
  Allocate(kPlain, "later");
  GoOn();
  EXPECT_EQ(worker_->traits().buffer_bytes_max, 0u);
  ASSERT_TRUE(loop_.RunUntil([&] { return answered; }));
  EXPECT_EQ(worker_->traits().buffer_bytes_max, 1u << 20);
}

TEST_F(DeviceWorkerTest, TellsReservedBytesWithEachAnswer) {
  HoldUp();
  script_.reserved = 4096;
  GoOn();
  EXPECT_EQ(worker_->reserved_bytes(), 0u) << "nothing was answered";
  ASSERT_TRUE(RunUntilDone(1));
  EXPECT_EQ(worker_->reserved_bytes(), 4096u);
  script_.reserved = 8192;
  worker_->Free({}, [this](absl::Status) { done_.push_back("freed"); });
  ASSERT_TRUE(RunUntilDone(2));
  EXPECT_EQ(worker_->reserved_bytes(), 8192u);
  script_.reserved = 0;
  Reset("reset");
  ASSERT_TRUE(RunUntilDone(3));
  EXPECT_EQ(worker_->reserved_bytes(), 0u);
}

TEST_F(DeviceWorkerTest, AnswersInTheOrderOfTheCalls) {
  for (int i = 0; i < 100; ++i) Allocate(i % 2 == 0 ? kPlain : kRefused, std::to_string(i));
  ASSERT_TRUE(RunUntilDone(100));
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(done_[static_cast<std::size_t>(i)],
              i % 2 == 0 ? std::to_string(i) : std::to_string(i) + " refused");
}

TEST_F(DeviceWorkerTest, WakesTheBrokerOnceForManyAnswers) {
  for (int i = 0; i < 5; ++i) Allocate(kPlain, "ready");
  HoldUp();
  EXPECT_EQ(loop_.posts(), 1);
  ASSERT_TRUE(RunUntilDone(5));
  GoOn();
  ASSERT_TRUE(RunUntilDone(6));
  EXPECT_EQ(loop_.posts(), 2);
}

TEST_F(DeviceWorkerTest, TellsEveryCount) {
  std::ofstream(fdinfo_ + "/7") << "pos:\t0\ncount:\t2\n";
  const std::size_t many = 641;
  Count(many, "counted");
  ASSERT_TRUE(RunUntilDone(1));
  EXPECT_EQ(counts_, std::vector<std::uint32_t>(many, 2));
  Count(0, "nothing to count");
  ASSERT_TRUE(RunUntilDone(2));
  EXPECT_TRUE(counts_.empty());
}

TEST_F(DeviceWorkerTest, LetsCopiesBeDroppedBeforeItCounts) {
  std::ofstream(fdinfo_ + "/7") << "pos:\t0\ncount:\t2\n";
  script_.copies = fdinfo_ + "/7";
  Count(1, "counted");
  ASSERT_TRUE(RunUntilDone(1));
  EXPECT_EQ(counts_, std::vector<std::uint32_t>{1});
}

TEST_F(DeviceWorkerTest, GivesCopiesBackOfWhatOthersHaveOnceItWasCounted) {
  std::ofstream(fdinfo_ + "/7") << "pos:\t0\ncount:\t2\n";
  std::ofstream(fdinfo_ + "/8") << "pos:\t0\ncount:\t1\n";
  worker_->CountReferences({7, 8, 9},
                           [this](std::vector<std::uint32_t>) { done_.push_back("counted"); });
  ASSERT_TRUE(RunUntilDone(1));
  EXPECT_EQ(script_.kept_again, (std::vector<int>{7, 9}))
      << "the one that could not be counted, too";
}

TEST_F(DeviceWorkerTest, TakesOverWhatAnEarlierProcessHad) {
  Resumption from;
  from.buffers.resize(2);
  from.buffers[1].inode = 1234;
  std::optional<Resumed> resumed;
  worker_->Resume(std::move(from),
                  [&](absl::StatusOr<Resumed> result) { resumed = *std::move(result); });
  ASSERT_TRUE(loop_.RunUntil([&] { return resumed.has_value(); }));
  ASSERT_EQ(resumed->fds.size(), 2u);
  EXPECT_FALSE(resumed->fds[0]);
  EXPECT_TRUE(resumed->fds[1]);
  EXPECT_EQ(resumed->lost, "one");
  EXPECT_EQ(worker_->traits().buffer_bytes_max, 1u << 20) << "as of Open()";
}

TEST_F(DeviceWorkerTest, PassesNotesOnBeforeItAnswers) {
  worker_->OnNote([this](const DeviceNote& note) { done_.push_back(note.bytes); });
  Resumption from;
  from.notes = {{.key = 1, .bytes = "first"}, {.key = 2, .bytes = "second"}};
  worker_->Resume(std::move(from),
                  [this](const absl::StatusOr<Resumed>&) { done_.push_back("resumed"); });
  ASSERT_TRUE(RunUntilDone(3));
  EXPECT_EQ(done_, (std::vector<std::string>{"first again", "second again", "resumed"}));
}

TEST_F(DeviceWorkerTest, GoesOnOnlyWhenANoteWasTakenThatComesFirst) {
  worker_->OnNote([this](const DeviceNote& note) {
    EXPECT_EQ(script_.ahead, -1);
    done_.push_back(note.bytes);
  });
  worker_->CheckAlarm([this](const std::optional<Alarm>&) { done_.push_back("looked"); });
  ASSERT_TRUE(RunUntilDone(2));
  EXPECT_EQ(done_, (std::vector<std::string>{"reading", "looked"}));
  EXPECT_EQ(script_.ahead, 1);
}

TEST_F(DeviceWorkerTest, SaysThatANoteWasNotTakenWhenItEnds) {
  worker_->CheckAlarm([](const std::optional<Alarm>&) {});
  ASSERT_TRUE(loop_.AwaitPost());
  worker_.reset();
  EXPECT_EQ(script_.ahead, 0);
}

TEST_F(DeviceWorkerTest, LetsAllocationsOvertakeCounts) {
  HoldUp();
  Count(10000, "first count");
  Count(1, "second count");
  Allocate(kPlain, "allocated");
  GoOn();
  ASSERT_TRUE(RunUntilDone(4));
  EXPECT_EQ(done_, (std::vector<std::string>{"gate", "allocated", "first count", "second count"}));
}

TEST_F(DeviceWorkerTest, StillCountsWhileAllocationsKeepComing) {
  HoldUp();
  Count(1, "counted");
  const std::size_t many = 3 * JobQueue::kPromptInARow;
  for (std::size_t i = 0; i < many; ++i) Allocate(kPlain, "allocated");
  GoOn();
  ASSERT_TRUE(RunUntilDone(many + 2));
  EXPECT_EQ(done_[JobQueue::kPromptInARow + 1], "counted");
}

TEST_F(DeviceWorkerTest, ResetsAfterEverythingThatWasAskedBefore) {
  HoldUp();
  Count(640, "counted");
  Reset("reset");
  Allocate(kPlain, "allocated");
  Count(1, "counted later");
  GoOn();
  ASSERT_TRUE(RunUntilDone(5));
  EXPECT_EQ(done_,
            (std::vector<std::string>{"gate", "counted", "reset", "allocated", "counted later"}));
}

TEST_F(DeviceWorkerTest, ClosesWhatIsUnfinishedAndAnswersNothingWhenItEnds) {
  const std::size_t before = OpenFdCount();
  Allocate(kPlain, "made, not delivered");
  HoldUp();
  for (int i = 0; i < 10; ++i) {
    worker_->Free({.fd = UniqueFd(memfd_create("taken back", MFD_CLOEXEC)), .size_bytes = kPlain},
                  [this](absl::Status) { done_.push_back("freed"); });
    Allocate(kPlain, "asked");
  }
  Count(10, "counted");
  GoOn();
  worker_.reset();
  loop_.RunPosted();
  EXPECT_TRUE(done_.empty());
  EXPECT_EQ(OpenFdCount(), before - 1);  // less the worker's view of fdinfo
}

TEST_F(DeviceWorkerTest, MayBeEndedByAnAnswer) {
  worker_->Allocate({.size_bytes = kPlain}, [this](absl::StatusOr<Allocation>) {
    worker_.reset();
    done_.push_back("ended");
  });
  Allocate(kPlain, "never answered");
  ASSERT_TRUE(RunUntilDone(1));
  loop_.RunPosted();
  EXPECT_EQ(done_, std::vector<std::string>{"ended"});
}

TEST_F(DeviceWorkerTest, InterruptsTheCallThatItIsInWhenItEnds) {
  HoldUp();
  worker_.reset();
  loop_.RunPosted();
  EXPECT_TRUE(done_.empty());
}

TEST_F(DeviceWorkerTest, WatchesNothingForADeviceWithoutAlarms) {
  worker_->OnAlarmSign([] {});
  EXPECT_FALSE(loop_.on_ready);
}

// The descriptor stays readable until the worker has looked: only the edge is news.
TEST_F(DeviceWorkerTest, PassesEachEdgeOfTheAlarmOn) {
  script_.alarm_fd = 7;
  int signs = 0;
  worker_->OnAlarmSign([&] { ++signs; });
  EXPECT_EQ(loop_.watched_for, EPOLLIN | EPOLLET);
  loop_.on_ready(EPOLLIN);
  loop_.on_ready(EPOLLIN);
  EXPECT_EQ(signs, 2);
}

TEST_F(DeviceWorkerTest, HasDamageMendedThoughNobodyAsksAnything) {
  script_.damage_fd = 7;
  Start();
  ASSERT_TRUE(loop_.on_ready);
  loop_.on_ready(EPOLLIN);
  Allocate(kPlain, "after it");
  ASSERT_TRUE(RunUntilDone(1));
  EXPECT_EQ(script_.mended, 1);
}

TEST_F(DeviceWorkerTest, EndsWhileNobodyAsksAnything) { worker_.reset(); }

}  // namespace
}  // namespace hlbuf
