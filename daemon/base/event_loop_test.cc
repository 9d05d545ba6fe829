// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace hlbuf {
namespace {

UniqueFd Readable() { return UniqueFd(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)); }

struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    ours = UniqueFd(fds[0]);
    theirs = UniqueFd(fds[1]);
  }
  void Send() { EXPECT_EQ(::send(ours.get(), "x", 1, 0), 1); }
  void Take() {
    char byte = 0;
    EXPECT_EQ(::recv(theirs.get(), &byte, 1, 0), 1);
  }
  UniqueFd ours, theirs;
};

class EventLoopTest : public testing::Test {
 protected:
  // Runs `then` when the loop has gone round often enough for whatever is due to have been seen.
  void AfterManyRounds(absl::AnyInvocable<void()> then, int rounds = 50) {
    loop_->Post([this, rounds, then = std::move(then)]() mutable {
      if (rounds == 0) return then();
      AfterManyRounds(std::move(then), rounds - 1);
    });
  }
  std::unique_ptr<EventLoop::Watch> Watch(int fd, std::uint32_t events, EventLoop::IoTask task) {
    return *loop_->AddIo(fd, events, std::move(task));
  }
  void Run() { EXPECT_TRUE(loop_->Run().ok()); }

  std::unique_ptr<EventLoop> loop_ = *EventLoop::Create();
};

TEST_F(EventLoopTest, RunsWhatManyThreadsPostInTheOrderOfEach) {
  constexpr int kThreads = 8;
  constexpr int kTasks = 2'000;
  std::vector<int> next(kThreads, 0);
  int in_order = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int task = 0; task < kTasks; ++task) {
        loop_->Post([&, thread, task] {
          in_order += next[static_cast<std::size_t>(thread)]++ == task ? 1 : 0;
          if (std::count(next.begin(), next.end(), kTasks) == kThreads) loop_->Exit();
        });
      }
    });
  }
  Run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(in_order, kThreads * kTasks);
}

TEST_F(EventLoopTest, ATaskThatPostsItselfLeavesOthersTheirTurn) {
  const UniqueFd readable = Readable();
  absl::AnyInvocable<void()> again = [&] { loop_->Post([&] { again(); }); };
  again();
  const auto watch =
      Watch(readable.get(), EPOLLIN | EPOLLET, [this](std::uint32_t) { loop_->Exit(); });
  Run();
}

TEST_F(EventLoopTest, CallsNoTaskOfAWatchThatAnothersTaskDestroyed) {
  const UniqueFd first = Readable();
  const UniqueFd second = Readable();
  std::unique_ptr<EventLoop::Watch> one, two;
  int calls = 0;
  const auto destroy = [&calls](auto& own, auto& other) {
    return [&](std::uint32_t) {
      ++calls;
      other.reset();
      own->SetEvents(0);
    };
  };
  one = Watch(first.get(), EPOLLIN, destroy(one, two));
  two = Watch(second.get(), EPOLLIN, destroy(two, one));
  AfterManyRounds([this] { loop_->Exit(); });
  Run();
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, RepeatsALevelUntilItIsServed) {
  const UniqueFd readable = Readable();
  int calls = 0;
  const auto watch = Watch(readable.get(), EPOLLIN, [&](std::uint32_t revents) {
    EXPECT_EQ(revents, std::uint32_t{EPOLLIN});
    std::uint64_t count = 0;
    if (++calls < 3) return;
    EXPECT_EQ(::read(readable.get(), &count, sizeof(count)), 8);
  });
  AfterManyRounds([this] { loop_->Exit(); });
  Run();
  EXPECT_EQ(calls, 3);
}

TEST_F(EventLoopTest, TellsAnEdgeOnceAndAgainForEachPacketThatThePeerTakes) {
  Pair pair;
  int calls = 0;
  pair.Send();
  const auto watch = Watch(pair.ours.get(), EPOLLOUT | EPOLLET, [&](std::uint32_t revents) {
    EXPECT_EQ(revents, std::uint32_t{EPOLLOUT});
    ++calls;
  });
  AfterManyRounds([&] {
    EXPECT_EQ(calls, 1);  // the present state
    pair.Take();
    AfterManyRounds([&] {
      EXPECT_EQ(calls, 2);
      loop_->Exit();
    });
  });
  Run();
}

TEST_F(EventLoopTest, TellsTheStateOnceMoreWhenAnEdgeIsSetAgain) {
  Pair pair;
  int calls = 0;
  std::unique_ptr<EventLoop::Watch> watch =
      Watch(pair.ours.get(), EPOLLOUT | EPOLLET, [&](std::uint32_t) {
        if (++calls < 3) watch->SetEvents(EPOLLOUT | EPOLLET);
      });
  AfterManyRounds([this] { loop_->Exit(); });
  Run();
  EXPECT_EQ(calls, 3);
}

TEST_F(EventLoopTest, AnEdgeOfTheOtherDirectionWakesNobody) {
  Pair pair;
  int calls = 0;
  const auto watch = Watch(pair.ours.get(), EPOLLOUT | EPOLLET, [&](std::uint32_t) { ++calls; });
  AfterManyRounds([&] {
    EXPECT_EQ(::send(pair.theirs.get(), "x", 1, 0), 1);
    AfterManyRounds([this] { loop_->Exit(); });
  });
  Run();
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, WakesUpForTheEarliestDeadlineThereIs) {
  BootClock clock;
  const absl::Time start = clock.Now();
  std::vector<absl::Time> due = {start + absl::Milliseconds(20), start,
                                 start + absl::Milliseconds(5)};
  std::vector<absl::Duration> ran;
  ASSERT_TRUE(loop_
                  ->SetTimer(
                      [&] {
                        return due.empty() ? absl::InfiniteFuture()
                                           : *std::min_element(due.begin(), due.end());
                      },
                      [&] {
                        const auto next = std::min_element(due.begin(), due.end());
                        EXPECT_LE(*next, clock.Now());
                        ran.push_back(*next - start);
                        due.erase(next);
                        if (due.empty()) loop_->Exit();
                      })
                  .ok());
  Run();
  EXPECT_EQ(ran,
            (std::vector{absl::ZeroDuration(), absl::Milliseconds(5), absl::Milliseconds(20)}));
}

TEST_F(EventLoopTest, ADeadlineThatIsTakenBackDoesNotRun) {
  BootClock clock;
  absl::Time due = absl::InfiniteFuture();
  absl::Time was_due;
  int runs = 0;
  int runs_before = 0;
  ASSERT_TRUE(
      loop_->SetTimer([&] { return due; }, [&] { ++runs, due = absl::InfiniteFuture(); }).ok());
  absl::AnyInvocable<void()> until_it_would_have_run = [&] {
    if (clock.Now() > was_due + absl::Milliseconds(5)) return loop_->Exit();
    AfterManyRounds([&] { until_it_would_have_run(); });
  };
  absl::AnyInvocable<void()> take_back_in_time = [&] {
    was_due = due = clock.Now() + absl::Milliseconds(10);
    AfterManyRounds([&] {
      if (clock.Now() >= was_due) return take_back_in_time();  // a slow machine: once more
      due = absl::InfiniteFuture();
      runs_before = runs;
      until_it_would_have_run();
    });
  };
  loop_->Post([&] { take_back_in_time(); });
  Run();
  EXPECT_EQ(runs, runs_before);
}

TEST_F(EventLoopTest, ADeadlineSetByAPostedTaskIsMet) {
  BootClock clock;
  absl::Time due = absl::InfiniteFuture();
  ASSERT_TRUE(loop_->SetTimer([&] { return due; }, [&] { loop_->Exit(); }).ok());
  std::thread other([&] { loop_->Post([&] { due = clock.Now() + absl::Milliseconds(1); }); });
  Run();
  other.join();
  EXPECT_LE(due, clock.Now());
}

// As after a SIGSTOP: more than one wait takes, and a deadline that has passed.
TEST_F(EventLoopTest, ServesWhatHasComeBeforeADeadlineThatHasPassed) {
  constexpr int kMany = 200;
  const absl::Time due = BootClock().Now();
  std::vector<UniqueFd> all;
  std::vector<std::unique_ptr<EventLoop::Watch>> watches;
  int served = 0;
  for (int i = 0; i < kMany; ++i) {
    const int fd = all.emplace_back(Readable()).get();
    watches.push_back(Watch(fd, EPOLLIN, [fd, &served](std::uint32_t) {
      eventfd_t count = 0;
      EXPECT_EQ(::eventfd_read(fd, &count), 0);
      ++served;
    }));
  }
  ASSERT_TRUE(loop_->SetTimer([&] { return due; }, [&] { loop_->Exit(); }).ok());
  Run();
  EXPECT_EQ(served, kMany);
}

TEST_F(EventLoopTest, MeetsADeadlineThoughThereIsNoEndOfWhatComes) {
  constexpr int kMany = 200;
  std::vector<UniqueFd> all;
  std::vector<std::unique_ptr<EventLoop::Watch>> watches;
  for (int i = 0; i < kMany; ++i)
    watches.push_back(Watch(all.emplace_back(Readable()).get(), EPOLLIN, [](std::uint32_t) {}));
  const absl::Time due = BootClock().Now();
  ASSERT_TRUE(loop_->SetTimer([&] { return due; }, [&] { loop_->Exit(); }).ok());
  Run();
}

TEST_F(EventLoopTest, TakesSignals) {
  int got = 0;
  ASSERT_TRUE(loop_
                  ->AddSignals({SIGUSR1, SIGUSR2},
                               [&](int signal) {
                                 got = signal;
                                 loop_->Exit();
                               })
                  .ok());
  loop_->Post([] { ::kill(::getpid(), SIGUSR2); });
  Run();
  EXPECT_EQ(got, SIGUSR2);
}

TEST_F(EventLoopTest, RunsWhatWasPostedAfterTheEndWhenAsked) {
  loop_->Exit();
  Run();
  int runs = 0;
  loop_->Post([&] { loop_->Post([&runs] { runs += 10; }), ++runs; });
  loop_->RunPosted();
  EXPECT_EQ(runs, 1);
  loop_->RunPosted();
  EXPECT_EQ(runs, 11);
}

TEST_F(EventLoopTest, AWatchOutlivesTheEndOfTheLoopAndDoesNothing) {
  const UniqueFd readable = Readable();
  const auto watch = Watch(readable.get(), 0, [](std::uint32_t) {});
  loop_->Exit();
  Run();
  watch->SetEvents(EPOLLIN);
  EXPECT_FALSE(loop_->AddIo(readable.get(), EPOLLIN, [](std::uint32_t) {}).ok());
}

// Counts in `destroyed` when it goes; posts another of its kind first if it is told to.
class Witness {
 public:
  Witness(EventLoop& loop, int& destroyed, bool posts)
      : loop_(&loop), destroyed_(&destroyed), posts_(posts) {}
  Witness(Witness&& other) noexcept
      : loop_(std::exchange(other.loop_, nullptr)),
        destroyed_(other.destroyed_),
        posts_(other.posts_) {}
  ~Witness() {
    if (loop_ == nullptr) return;
    ++*destroyed_;
    if (posts_) loop_->Post([other = Witness(*loop_, *destroyed_, false)] {});
  }

 private:
  EventLoop* loop_;
  int* destroyed_;
  bool posts_;
};

TEST_F(EventLoopTest, DestroysWhatIsLeftWithoutRunningItAndWhatThatPostsToo) {
  int destroyed = 0;
  bool ran = false;
  loop_->Post([&ran, witness = Witness(*loop_, destroyed, true)] { ran = true; });
  loop_->Post([&ran, witness = Witness(*loop_, destroyed, false)] { ran = true; });
  EXPECT_EQ(destroyed, 0);
  loop_.reset();
  EXPECT_EQ(destroyed, 3);
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace hlbuf
