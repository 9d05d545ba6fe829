// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/event_loop.h"

#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "daemon/base/status_macros.h"

namespace hlbuf {
namespace {

absl::Status FromErrno(int result, const char* what) {
  return result < 0 ? absl::ErrnoToStatus(-result, what) : absl::OkStatus();
}

}  // namespace

absl::Time BootClock::Now() const {
  timespec now = {};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::TimeFromTimespec(now);
}

EventLoop::Watch::~Watch() {
  ::epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_DEL, fd_, nullptr);
  loop_.Forget(*this);
}

void EventLoop::Watch::SetEvents(std::uint32_t events) {
  if (loop_.ended_) return;
  epoll_event event = {.events = events, .data = {.ptr = this}};
  // It cannot fail but by a bug of ours: the descriptor is not in the set any more.
  if (::epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_MOD, fd_, &event) != 0) std::abort();
}

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create() {
  std::unique_ptr<EventLoop> loop(new EventLoop());
  EventLoop* const self = loop.get();
  self->epoll_.Reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!self->epoll_) return absl::ErrnoToStatus(errno, "epoll_create1");
  RETURN_IF_ERROR(FromErrno(sd_event_new(&self->event_), "sd_event_new"));
  ASSIGN_OR_RETURN(self->event_watch_,
                   self->AddIo(sd_event_get_fd(self->event_), EPOLLIN,
                               [self](std::uint32_t) { sd_event_run(self->event_, 0); }));
  self->wake_.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!self->wake_) return absl::ErrnoToStatus(errno, "eventfd");
  ASSIGN_OR_RETURN(self->wake_watch_,
                   self->AddIo(self->wake_.get(), EPOLLIN, [self](std::uint32_t) {
                     std::uint64_t count = 0;
                     if (::read(self->wake_.get(), &count, sizeof(count)) > 0) self->RunPosted();
                   }));
  return loop;
}

EventLoop::~EventLoop() {
  // What is destroyed here may post once more.
  while (!TakePosted().empty()) continue;
  timer_watch_.reset();
  wake_watch_.reset();
  event_watch_.reset();
  sd_event_unref(event_);
}

void EventLoop::Post(absl::AnyInvocable<void() &&> task) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  const std::uint64_t one = 1;
  // Cannot fail: the counter is read long before it could overflow.
  if (first && ::write(wake_.get(), &one, sizeof(one)) != sizeof(one)) std::abort();
}

std::vector<absl::AnyInvocable<void() &&>> EventLoop::TakePosted() {
  const std::lock_guard lock(mutex_);
  return std::exchange(posted_, {});
}

void EventLoop::RunPosted() {
  for (auto& task : TakePosted()) std::move(task)();
}

absl::StatusOr<std::unique_ptr<EventLoop::Watch>> EventLoop::AddIo(int fd, std::uint32_t events,
                                                                   IoTask task) {
  if (ended_) return absl::FailedPreconditionError("the loop has ended");
  std::unique_ptr<Watch> watch(new Watch(*this, fd, std::move(task)));
  epoll_event event = {.events = events, .data = {.ptr = watch.get()}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return absl::ErrnoToStatus(errno, "epoll_ctl");
  return watch;
}

void EventLoop::Forget(const Watch& watch) {
  for (std::size_t i = 0; i < ready_count_; ++i)
    if (ready_[i].data.ptr == &watch) ready_[i].data.ptr = nullptr;
}

absl::Status EventLoop::SetTimer(absl::AnyInvocable<absl::Time()> next,
                                 absl::AnyInvocable<void()> run) {
  next_ = std::move(next);
  run_ = std::move(run);
  timer_.Reset(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer_) return absl::ErrnoToStatus(errno, "timerfd_create");
  ASSIGN_OR_RETURN(timer_watch_,
                   AddIo(timer_.get(), EPOLLIN, [this](std::uint32_t) { RunTimer(); }));
  return absl::OkStatus();
}

void EventLoop::ArmTimer() {
  if (!timer_) return;
  const absl::Time next = next_();
  if (next == armed_) return;
  armed_ = next;
  itimerspec when = {};  // never
  if (next != absl::InfiniteFuture())
    when.it_value = absl::ToTimespec(std::max(next, absl::UnixEpoch() + absl::Nanoseconds(1)));
  // It cannot fail but by a bug of ours.
  if (::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) != 0) std::abort();
}

void EventLoop::RunTimer() {
  std::uint64_t times = 0;
  if (::read(timer_.get(), &times, sizeof(times)) < 0) return;  // it was set to another time
  armed_ = absl::InfiniteFuture();
  run_();
}

absl::Status EventLoop::AddSignals(const std::vector<int>& signals,
                                   absl::AnyInvocable<void(int)> task) {
  on_signal_ = std::move(task);
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  if (::pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0)
    return absl::InternalError("pthread_sigmask");
  for (const int signal : signals)
    RETURN_IF_ERROR(FromErrno(sd_event_add_signal(event_, nullptr, signal, &OnSignal, this),
                              "sd_event_add_signal"));
  return absl::OkStatus();
}

int EventLoop::OnSignal(sd_event_source*, const signalfd_siginfo* signal, void* self) {
  static_cast<EventLoop*>(self)->on_signal_(static_cast<int>(signal->ssi_signo));
  return 0;
}

absl::Status EventLoop::Wait(int timeout_ms) {
  const int n =
      ::epoll_wait(epoll_.get(), ready_.data(), static_cast<int>(ready_.size()), timeout_ms);
  if (n < 0 && errno != EINTR) return absl::ErrnoToStatus(errno, "epoll_wait");
  ready_count_ = static_cast<std::size_t>(std::max(n, 0));
  return absl::OkStatus();
}

// Whether the timer has gone off.
bool EventLoop::Dispatch() {
  bool is_due = false;
  for (std::size_t i = 0; i < ready_count_ && !exiting_; ++i) {
    auto* const watch = static_cast<Watch*>(ready_[i].data.ptr);
    if (watch == nullptr) continue;
    if (watch == timer_watch_.get())
      is_due = true;
    else
      watch->task_(ready_[i].events);
  }
  return is_due && !exiting_;
}

absl::Status EventLoop::Run() {
  constexpr int kPassedOverMax = 8;
  absl::Status waited;
  while (!exiting_ && waited.ok()) {
    ArmTimer();
    waited = Wait(-1);
    const bool is_due = Dispatch();
    const bool may_be_more = ready_count_ == ready_.size();
    ready_count_ = 0;
    if (!is_due || (may_be_more && ++passed_over_ < kPassedOverMax)) continue;
    passed_over_ = 0;
    RunTimer();
  }
  ended_ = true;
  return waited;
}

}  // namespace hlbuf
