// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

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

EventLoop::Watch::~Watch() { sd_event_source_disable_unref(source_); }

void EventLoop::Watch::SetEvents(std::uint32_t events) {
  const int set = sd_event_source_set_io_events(source_, events);
  // ESTALE: the loop has ended. Anything else would be a bug of ours: the descriptor is not in the
  // epoll set any more.
  if (set < 0 && set != -ESTALE) std::abort();
}

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create() {
  std::unique_ptr<EventLoop> loop(new EventLoop());
  RETURN_IF_ERROR(FromErrno(sd_event_new(&loop->event_), "sd_event_new"));
  loop->wake_.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!loop->wake_) return absl::ErrnoToStatus(errno, "eventfd");
  ASSIGN_OR_RETURN(loop->wake_watch_,
                   loop->AddIo(loop->wake_.get(), EPOLLIN, [l = loop.get()](std::uint32_t) {
                     std::uint64_t count = 0;
                     if (::read(l->wake_.get(), &count, sizeof(count)) > 0) l->RunPosted();
                   }));
  return loop;
}

EventLoop::~EventLoop() {
  // What is destroyed here may post once more.
  while (!TakePosted().empty()) continue;
  wake_watch_.reset();
  sd_event_source_disable_unref(timer_);
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
  auto watch = std::make_unique<Watch>();
  watch->task_ = std::move(task);
  RETURN_IF_ERROR(FromErrno(
      sd_event_add_io(event_, &watch->source_, fd, events, &OnIo, watch.get()), "sd_event_add_io"));
  return watch;
}

int EventLoop::OnIo(sd_event_source*, int, std::uint32_t revents, void* watch) {
  static_cast<Watch*>(watch)->task_(revents);
  return 0;
}

absl::Status EventLoop::SetTimer(absl::AnyInvocable<absl::Time()> next,
                                 absl::AnyInvocable<void()> run) {
  constexpr std::uint64_t kAccuracyMicros = 1;  // 0 would mean sd-event's default of 250 ms
  next_ = std::move(next);
  run_ = std::move(run);
  RETURN_IF_ERROR(FromErrno(sd_event_add_time(event_, &timer_, CLOCK_BOOTTIME, UINT64_MAX,
                                              kAccuracyMicros, &OnTimer, this),
                            "sd_event_add_time"));
  // A disabled source is not prepared; this one never is disabled, the timer often.
  wake_watch_->loop_ = this;
  return FromErrno(sd_event_source_set_prepare(wake_watch_->source_, &BeforeWait),
                   "sd_event_source_set_prepare");
}

int EventLoop::OnTimer(sd_event_source*, std::uint64_t, void* self) {
  auto* loop = static_cast<EventLoop*>(self);
  loop->armed_ = absl::InfiniteFuture();
  loop->run_();
  return 0;
}

int EventLoop::BeforeWait(sd_event_source*, void* watch) {
  EventLoop* loop = static_cast<Watch*>(watch)->loop_;
  const absl::Time next = loop->next_();
  if (next == loop->armed_) return 0;
  loop->armed_ = next;
  if (next == absl::InfiniteFuture())
    return sd_event_source_set_enabled(loop->timer_, SD_EVENT_OFF);
  sd_event_source_set_time(
      loop->timer_, static_cast<std::uint64_t>(absl::ToUnixMicros(next + absl::Nanoseconds(999))));
  return sd_event_source_set_enabled(loop->timer_, SD_EVENT_ONESHOT);
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

absl::Status EventLoop::Run() { return FromErrno(sd_event_loop(event_), "sd_event_loop"); }

}  // namespace hlbuf
