// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_BASE_EVENT_LOOP_H_
#define HLBUF_DAEMON_BASE_EVENT_LOOP_H_

#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/base/clock.h"
#include "daemon/base/reactor.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// CLOCK_BOOTTIME.
class BootClock final : public Clock {
 public:
  absl::Time Now() const override;
};

// The broker thread. Everything but Post() is for that thread alone.
//
// Descriptors are in an epoll set of its own, of which a wait takes many at once; signals are
// sd-event's, which is one of those descriptors. sd-event alone would ask the kernel about all that
// is ready again for each one that it serves: quadratic when a thousand sessions answer.
class EventLoop final : public Reactor {
 public:
  // One watched descriptor. Destroyed: watched no longer, and its task is not called again, not
  // even in this iteration. Its own task must not destroy it; that can Post() the destruction. Does
  // not outlive the loop.
  class Watch final : public FdWatch {
   public:
    ~Watch() override;
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    // Replaces the EPOLL* mask. With EPOLLET this also asks for the present state once more. After
    // Run() has returned it does nothing.
    void SetEvents(std::uint32_t events);

   private:
    friend class EventLoop;
    Watch(EventLoop& loop, int fd, IoTask task) : loop_(loop), fd_(fd), task_(std::move(task)) {}
    EventLoop& loop_;
    const int fd_;
    IoTask task_;
  };

  static absl::StatusOr<std::unique_ptr<EventLoop>> Create();
  ~EventLoop() override;

  // Runs `task` on the broker thread; in the order of the calls of one thread. After Run() has
  // returned tasks wait for RunPosted(); what is left at the end is destroyed without having run.
  void Post(absl::AnyInvocable<void() &&> task) override;
  // Runs what was posted so far; for the time after Run().
  void RunPosted();

  // `fd` stays open as long as the watch.
  absl::StatusOr<std::unique_ptr<Watch>> AddIo(int fd, std::uint32_t events, IoTask task);
  // The same, for those who do not know this class.
  absl::StatusOr<std::unique_ptr<FdWatch>> WatchFd(int fd, std::uint32_t events,
                                                   IoTask task) override {
    return AddIo(fd, events, std::move(task));
  }

  // The one timer there is: before each wait `next` is asked when to wake up at the latest (of
  // BootClock; InfiniteFuture for never), and then `run` is called. Behind what has come before:
  // this process may have stood still, and what was sent in time is not late for that. But not
  // behind more than some hundred events, of which there may be no end.
  absl::Status SetTimer(absl::AnyInvocable<absl::Time()> next, absl::AnyInvocable<void()> run);

  // Calls `task` for each of these signals, which are blocked for the whole process from now on:
  // call it before the first thread starts.
  absl::Status AddSignals(const std::vector<int>& signals, absl::AnyInvocable<void(int)> task);

  // Until Exit().
  absl::Status Run();
  void Exit() { exiting_ = true; }

 private:
  EventLoop() = default;
  std::vector<absl::AnyInvocable<void() &&>> TakePosted();
  absl::Status Wait(int timeout_ms);
  void Forget(const Watch& watch);
  bool Dispatch();
  void ArmTimer();
  void RunTimer();
  static int OnSignal(sd_event_source* source, const signalfd_siginfo* signal, void* self);

  UniqueFd epoll_;
  std::array<epoll_event, 64> ready_;  // of the present iteration; of a forgotten watch: no pointer
  std::size_t ready_count_ = 0;
  bool exiting_ = false;
  bool ended_ = false;
  sd_event* event_ = nullptr;
  std::unique_ptr<Watch> event_watch_;
  UniqueFd timer_;
  std::unique_ptr<Watch> timer_watch_;
  int passed_over_ = 0;  // times in a row that the timer was
  absl::Time armed_ = absl::InfiniteFuture();
  absl::AnyInvocable<absl::Time()> next_;
  absl::AnyInvocable<void()> run_;
  absl::AnyInvocable<void(int)> on_signal_;
  UniqueFd wake_;
  std::unique_ptr<Watch> wake_watch_;
  // Not absl::Mutex: Debian's libraries are not built for ThreadSanitizer, which would see races in
  // it.
  std::mutex mutex_;
  std::vector<absl::AnyInvocable<void() &&>> posted_;  // guarded by mutex_
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_BASE_EVENT_LOOP_H_
