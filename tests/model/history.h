// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_MODEL_HISTORY_H_
#define HLBUF_TESTS_MODEL_HISTORY_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/model/model.h"
#include "tests/support/broker_rig.h"

namespace hlbuf::model {

// One step of a history: what happens, and to whom, taken modulo what there is.
struct Step {
  std::uint32_t bits = 0;

  std::uint32_t what() const { return bits & 63; }
  std::uint32_t a() const { return (bits >> 6) & 63; }
  std::uint32_t b() const { return (bits >> 12) & 63; }
  std::uint32_t c() const { return (bits >> 18) & 63; }
};

// A broker and its model, led through the same history: clients, operators, the kernel, three
// devices (fake0 counts references, fake1 does not, fake2 is as a card: its memory goes with each
// reset, some of which it announces) and their answers in every legal order.
class History {
 public:
  // Whether the card is asked for alarms: ten times a second, which makes a history long.
  explicit History(bool alarms);

  // Empty, or what is wrong after this step.
  std::string Apply(Step step);
  // Lets all go on by itself: every revocation and reset comes to its end though what is held stays
  // held; after everybody has let go nothing is left.
  std::string Finish();
  // What has happened, for people.
  const std::vector<std::string>& log() const { return log_; }

 private:
  using Clients = std::map<SessionId, FakeClient*>;

  void Connect(Step step);
  void Allocate(Step step);
  void Open(Step step);
  void Receive(Step step);
  void PutInFlight(Step step);
  void TakeIn(Step step);
  void Release(Step step);
  void Share(Step step);
  void Park(Step step);
  void Forget(Step step);
  void Revoke(Step step);
  void Reset(Step step);
  void LetTimePass(Step step);
  void LetADeviceGoOn(Step step);
  void Deliver(FakeBackend& device, const std::string& name);
  void HoldMore(Step step);
  void HoldLess(Step step);
  void Fail(Step step);
  void Restart(Step step);
  void Reattach();
  void Alarm(Step step);

  void Expect(const std::string& expected, const std::string& got, const std::string& what);
  void Log(std::string what) { log_.push_back(std::move(what)); }
  FakeClient* Client(std::uint32_t n, bool parked);
  BufferId SomeBuffer(std::uint32_t n) const;
  void Received(BufferId buffer);
  FakeBackend& DeviceNamed(const std::string& name) { return *rig_.devices.at(name.back() - '0'); }
  FakeBackend& DeviceOf(BufferId buffer) { return DeviceNamed(model_.buffers.at(buffer).device); }
  void ReturnGivenUp();
  void CheckVerdicts();
  void CheckReports();
  void CheckNotices();

  Model model_;
  std::map<SessionId, FakeClient*> clients_;
  std::vector<BufferId> buffers_;  // that ever were
  std::vector<LeaseId> leases_;    // likewise
  std::size_t events_seen_ = 0;
  std::size_t reports_seen_ = 0;
  std::size_t revocations_begun_ = 0;
  std::size_t resets_begun_ = 0;
  std::vector<std::pair<std::string, ResetReport>> resets_;
  std::optional<absl::StatusOr<LeaseId>> answered_;  // of the allocation that was delivered last
  std::vector<std::string> log_;
  std::string wrong_;
  BrokerRig rig_;  // last: what is unanswered when it ends is answered to the others
};

}  // namespace hlbuf::model

#endif  // HLBUF_TESTS_MODEL_HISTORY_H_
