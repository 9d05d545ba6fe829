// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_FAKE_BACKEND_H_
#define HLBUF_TESTS_SUPPORT_FAKE_BACKEND_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "daemon/core/backend.h"

namespace hlbuf {

// A device made of numbers, and the kernel that counts its references. Works, remembers, fails on
// request.
//
// As with a real worker, two things happen to each request: the device does it (Work, WorkOnCount),
// and its answer reaches the broker (Deliver). Neither happens by itself, so a test can put
// anything it likes between them. Requests are done in their order, but counts may be overtaken by
// all else but Reset().
//
// Its descriptors are numbers that no process has: closing one does nothing.
class FakeBackend final : public Backend {
 public:
  // A device that counts references, takes drills, and has room for everything.
  static BackendTraits DefaultTraits();

  explicit FakeBackend(BackendTraits traits = DefaultTraits()) : traits_(std::move(traits)) {}

  bool Work();         // the oldest request that is no count; false: there is none
  bool WorkOnCount();  // the oldest count; false: there is none
  bool Deliver();      // the oldest answer; false: there is none
  void Run();          // all three, until nothing is left
  // The process that asked has ended: nothing is done or answered that has not been yet. The device
  // and its keeper live on.
  void LoseAsker();
  bool idle() const { return prompt_.empty() && counts_.empty() && done_.empty(); }

  // References of others to the file `inode`: descriptors, mappings, importers anywhere.
  void set_others(ino_t inode, std::uint32_t references) { others_[inode] = references; }
  std::uint32_t others(ino_t inode) const;
  // Whether a count of the file was asked for and has not been answered.
  bool counting(ino_t inode) const { return counting_.contains(inode); }
  // Everybody lets go of everything, and counts can be read again.
  void LetGo() {
    others_.clear();
    unreadable = false;
  }

  // Allocations that were made and have not come back.
  ino_t last_inode() const { return last_inode_; }
  std::size_t allocated() const { return sizes_.size(); }
  bool open() const { return open_; }

  std::vector<std::string> calls;  // in words, in the order in which the device did them
  // What was delivered last: the words of its call, whether that went well, and for a count each
  // file with what the kernel said.
  struct Answer {
    std::string call;
    bool ok = true;
    std::vector<std::pair<ino_t, std::uint32_t>> counts;
    std::optional<Alarm> alarm;  // what "alarm" found
  };
  Answer delivered;
  // What no broker may do, as it happened: an allocation freed while others refer to it, a device
  // that is used while it is closed. Empty at the end of a good test.
  std::vector<std::string> violations;
  // Returned once, by the next that is done.
  absl::Status fail_open, fail_resume, fail_allocate, fail_free, fail_reset;
  bool memory_is_gone = false;       // what Resume() finds once
  bool witnesses = false;            // it can tell of blind ones that nobody has them
  std::set<ino_t> lost_descriptors;  // of which its keeper has none
  Resumption resumed_from;           // by Resume() last
  std::vector<DeviceNote> finds;     // what the next Resume() notes
  // A drill that fails shows when the device is opened again, not in its reset.
  bool reset_always_succeeds = false;
  std::uint64_t reserved = 0;             // what reserved_bytes() says
  KeeperRole role = KeeperRole::kCopies;  // what keeper() says
  bool unreadable = false;                // counts are 0 as long as this is set

  const BackendTraits& traits() const override { return traits_; }
  std::uint64_t reserved_bytes() const override { return reserved; }
  KeeperRole keeper() const override { return role; }
  void Open(Done<absl::Status> done) override;
  void Resume(Resumption from, Done<absl::StatusOr<Resumed>> done) override;
  void OnNote(NoteTaker take) override { take_note_ = std::move(take); }
  void Allocate(AllocationSpec spec, Done<absl::StatusOr<Allocation>> done) override;
  void CountReferences(std::vector<int> fds, Done<std::vector<std::uint32_t>> done) override;
  void Free(Allocation allocation, Done<absl::Status> done) override;
  void FreeBlind(std::vector<std::uint64_t> windows, Done<std::vector<bool>> done) override;
  void CheckAlarm(Done<std::optional<Alarm>> done) override;
  void OnAlarmSign(absl::AnyInvocable<void()> sign) override { GiveSign = std::move(sign); }
  void Reset(Drill drill, Done<absl::Status> done) override;

  std::optional<Alarm> alarm;           // what CheckAlarm() finds, until Reset()
  absl::AnyInvocable<void()> GiveSign;  // that there may be one

 private:
  struct Finished {
    Answer answer;
    absl::AnyInvocable<void() &&> tell;
  };
  struct Request {
    absl::AnyInvocable<Finished() &&> work;
    std::uint64_t sequence = 0;
    bool barrier = false;  // after every request that was asked before it
  };

  // Queues `job`, whose result is for `done`.
  template <class T, class Job>
  void Ask(std::deque<Request>& queue, Done<T> done, Job job, bool barrier = false);
  bool WorkOn(std::deque<Request>& queue);
  void Called(std::string words);
  absl::StatusOr<Allocation> Export(const AllocationSpec& spec);
  absl::StatusOr<Resumed> TakeUp(const Resumption& from);
  std::uint32_t Count(int fd) const;
  absl::Status TakeBack(const Allocation& allocation);

  BackendTraits traits_;
  NoteTaker take_note_;
  bool open_ = false;
  ino_t last_inode_ = 0;
  std::map<ino_t, std::uint64_t> sizes_;
  std::map<ino_t, std::uint32_t> others_;
  std::uint64_t asked_ = 0;
  std::deque<Request> prompt_;
  std::deque<Request> counts_;
  std::set<ino_t> counting_;
  std::deque<Finished> done_;
  Answer doing_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_FAKE_BACKEND_H_
