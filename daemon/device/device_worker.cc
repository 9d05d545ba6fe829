// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/device_worker.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>

#include <optional>
#include <utility>

#include "absl/types/span.h"
#include "daemon/base/crash_point.h"

namespace hlbuf {
namespace {

constexpr std::size_t kThreadNameBytesMax = 15;  // pthread_setname_np(3)

// Signals are the broker thread's affair: the thread inherits a mask that blocks them all.
template <class Body>
std::thread StartWithoutSignals(Body body) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

// Those that others have, or may have.
std::vector<int> Unproven(absl::Span<const int> fds, absl::Span<const std::uint32_t> counts) {
  std::vector<int> unproven;
  for (std::size_t i = 0; i < fds.size(); ++i)
    if (counts[i] != 1) unproven.push_back(fds[i]);
  return unproven;
}

}  // namespace

DeviceWorker::DeviceWorker(const std::string& name, std::unique_ptr<Exporter> exporter,
                           Reactor& reactor, ReferenceCounter counter)
    : traits_(exporter->traits()),
      exporter_(std::move(exporter)),
      reactor_(reactor),
      counter_(std::move(counter)),
      mailbox_(std::make_shared<Mailbox>(reactor)),
      thread_(StartWithoutSignals([this] { Run(); })) {
  pthread_setname_np(thread_.native_handle(), name.substr(0, kThreadNameBytesMax).c_str());
  WatchForDamage();
}

DeviceWorker::~DeviceWorker() {
  damage_watch_.reset();
  queue_.Stop();
  exporter_->Interrupt();
  mailbox_->Interrupt();
  thread_.join();
  mailbox_->Close();
}

void DeviceWorker::Run() {
  exporter_->WriteNotesTo(*this);
  while (std::optional<Job> job = queue_.Take()) mailbox_->Put((*job)());
}

Completion DeviceWorker::Taken(DeviceNote note) {
  return [this, note = std::move(note)] {
    if (take_note_) take_note_(note);
  };
}

void DeviceWorker::Write(DeviceNote note) { mailbox_->Put(Taken(std::move(note))); }

bool DeviceWorker::WriteAhead(DeviceNote note) {
  return mailbox_->PutAndWait(Taken(std::move(note)));
}

void DeviceWorker::Open(Done<absl::Status> done) {
  queue_.Put(Lane::kPrompt, [this, done = std::move(done)]() mutable -> Completion {
    CrashPoint("before-device-open");
    absl::Status status = exporter_->Open();
    CrashPoint("after-device-open");
    return [this, status = std::move(status), traits = exporter_->traits(),
            standing = StandingNow(), done = std::move(done)]() mutable {
      traits_ = std::move(traits);
      standing_ = standing;
      std::move(done)(std::move(status));
    };
  });
}

void DeviceWorker::Resume(Resumption from, Done<absl::StatusOr<Resumed>> done) {
  queue_.Put(Lane::kPrompt,
             [this, from = std::move(from), done = std::move(done)]() mutable -> Completion {
               CrashPoint("before-device-resume");
               absl::StatusOr<Resumed> resumed = exporter_->Resume(from);
               CrashPoint("after-device-resume");
               return [this, resumed = std::move(resumed), traits = exporter_->traits(),
                       standing = StandingNow(), done = std::move(done)]() mutable {
                 traits_ = std::move(traits);
                 standing_ = standing;
                 std::move(done)(std::move(resumed));
               };
             });
}

void DeviceWorker::Allocate(AllocationSpec spec, Done<absl::StatusOr<Allocation>> done) {
  queue_.Put(Lane::kPrompt,
             [this, spec = std::move(spec), done = std::move(done)]() mutable -> Completion {
               CrashPoint("before-device-export");
               absl::StatusOr<Allocation> allocation = exporter_->Export(spec);
               CrashPoint("after-device-export");
               return [this, allocation = std::move(allocation), standing = StandingNow(),
                       done = std::move(done)]() mutable {
                 standing_ = standing;
                 std::move(done)(std::move(allocation));
               };
             });
}

// While a copy is not kept, the end of this process loses the descriptor for good. So it is dropped
// only where the count with it leaves nobody but us.
std::vector<std::uint32_t> DeviceWorker::Count(absl::Span<const int> fds) {
  constexpr std::uint32_t kOursAndACopy = 2;
  std::vector<std::uint32_t> counts(fds.size());
  counter_.Read(fds, absl::MakeSpan(counts));
  std::vector<int> alone;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < fds.size(); ++i) {
    if (counts[i] > kOursAndACopy) {
      if (exporter_->HasCopy(fds[i])) --counts[i];
      continue;
    }
    alone.push_back(fds[i]);
    places.push_back(i);
  }
  if (alone.empty()) return counts;
  std::vector<std::uint32_t> proof(alone.size());
  exporter_->DropCopies(alone);
  counter_.Read(alone, absl::MakeSpan(proof));
  exporter_->KeepCopies(Unproven(alone, proof));
  for (std::size_t i = 0; i < places.size(); ++i) counts[places[i]] = proof[i];
  return counts;
}

void DeviceWorker::CountReferences(std::vector<int> fds, Done<std::vector<std::uint32_t>> done) {
  queue_.Put(Lane::kPatient,
             [this, fds = std::move(fds), done = std::move(done)]() mutable -> Completion {
               return [counts = Count(fds), done = std::move(done)]() mutable {
                 std::move(done)(std::move(counts));
               };
             });
}

void DeviceWorker::Free(Allocation allocation, Done<absl::Status> done) {
  queue_.Put(
      Lane::kPrompt,
      [this, allocation = std::move(allocation), done = std::move(done)]() mutable -> Completion {
        CrashPoint("before-device-free");
        absl::Status status = exporter_->Free(std::move(allocation));
        CrashPoint("after-device-free");
        return [this, status = std::move(status), standing = StandingNow(),
                done = std::move(done)]() mutable {
          standing_ = standing;
          std::move(done)(std::move(status));
        };
      });
}

void DeviceWorker::FreeBlind(std::vector<std::uint64_t> windows, Done<std::vector<bool>> done) {
  queue_.Put(Lane::kPrompt,
             [this, windows = std::move(windows), done = std::move(done)]() mutable -> Completion {
               return [this, freed = exporter_->FreeBlind(windows), standing = StandingNow(),
                       done = std::move(done)]() mutable {
                 standing_ = standing;
                 std::move(done)(std::move(freed));
               };
             });
}

void DeviceWorker::CheckAlarm(Done<std::optional<Alarm>> done) {
  queue_.Put(Lane::kPrompt, [this, done = std::move(done)]() mutable -> Completion {
    std::optional<Alarm> alarm = exporter_->CheckAlarm();
    return [this, alarm = std::move(alarm), standing = StandingNow(),
            done = std::move(done)]() mutable {
      standing_ = standing;
      std::move(done)(std::move(alarm));
    };
  });
}

// Edges: the descriptor stays readable until the worker has looked.
void DeviceWorker::OnAlarmSign(absl::AnyInvocable<void()> sign) {
  const int fd = exporter_->alarm_fd();
  if (fd < 0) return;
  auto watch = reactor_.WatchFd(fd, EPOLLIN | EPOLLET,
                                [sign = std::move(sign)](std::uint32_t) mutable { sign(); });
  // Without one, alarms are noticed when they are asked for.
  if (watch.ok()) alarm_watch_ = *std::move(watch);
}

void DeviceWorker::WatchForDamage() {
  const int fd = exporter_->damage_fd();
  if (fd < 0) return;
  auto watch = reactor_.WatchFd(fd, EPOLLIN | EPOLLET, [this](std::uint32_t) {
    queue_.Put(Lane::kPrompt, [this]() -> Completion {
      exporter_->Mend();
      return [this, standing = StandingNow()] { standing_ = standing; };
    });
  });
  // Without one, it is noticed by the next call.
  if (watch.ok()) damage_watch_ = *std::move(watch);
}

void DeviceWorker::Reset(Drill drill, Done<absl::Status> done) {
  queue_.Put(Lane::kBarrier, [this, drill, done = std::move(done)]() mutable -> Completion {
    CrashPoint("before-device-reset");
    absl::Status status = exporter_->Reset(drill);
    CrashPoint("after-device-reset");
    return [this, status = std::move(status), standing = StandingNow(),
            done = std::move(done)]() mutable {
      standing_ = standing;
      std::move(done)(std::move(status));
    };
  });
}

}  // namespace hlbuf
