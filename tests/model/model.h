// SPDX-License-Identifier: Apache-2.0
// What the broker should do, written down a second time: from the design, in plain maps, without a
// thought for speed. It knows nothing of what the broker does inside; it hears what was asked of
// it and what the devices answered, and says what must be visible then.
#ifndef HLBUF_TESTS_MODEL_MODEL_H_
#define HLBUF_TESTS_MODEL_MODEL_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/core/broker.h"
#include "tests/support/fake_backend.h"

namespace hlbuf::model {

struct Told {
  RevokeReason reason;
  absl::Time deadline;
  std::set<LeaseId> leases;
};
struct Session {
  Peer peer;
  bool parked = false;
  std::uint64_t in_flight = 0;  // descriptors of the one message that is under way to it
  std::vector<Told> told;
};
struct Lease {
  SessionId session;
  BufferId buffer;
  LeaseState state = LeaseState::kActive;
  std::optional<Grantee> share;
  std::optional<absl::Time> overdue_at;  // after an UNSHARE
  std::optional<absl::Time> due;         // as its session was told
};
struct Buffer {
  Domain owner;
  std::uint64_t size_bytes = 0;
  std::string name;
  std::string device;
  std::uint64_t epoch = 0;
  BufferState state = BufferState::kAllocating;
  SessionId asker;
  ino_t inode = 0;
  bool returned = false;   // to the device, which has not answered yet
  bool ungranted = false;  // exported too late
  std::optional<RevokeReason> revoked;
  bool given_up = false;         // with the reset of its device; returned once nobody counts it
  bool proven = false;           // given up, but the count in progress says that nobody had it
  std::uint32_t references = 0;  // of others, as last counted
  std::vector<Grantee> shares;
};
// What is remembered of a buffer that was.
struct Fate {
  Domain owner;
  std::vector<Grantee> shares;
};
struct Revocation {
  std::set<BufferId> waiting;
  absl::Time deadline;
  bool expired = false;
  absl::Time counted;  // after the deadline: when something was last known of a buffer
  absl::Time uncounted_at = absl::InfiniteFuture();  // who cannot be counted then is HELD
  std::string reset_of;                              // a device, or empty
  bool unheard = false;  // whoever began it ended with an earlier process
  std::map<BufferId, Verdict> verdicts;
};
// Something asked of a device. Jobs of one step may be asked in any order.
struct Job {
  std::string call;
  BufferId buffer;
  int step = 0;
};
struct DeviceModel {
  bool counts = false;
  bool survives = true;  // its memory does, when it is reset
  bool alarms = false;   // it is asked for them
  DeviceState state = DeviceState::kOpening;
  std::uint64_t epoch = 1;
  bool resetting = false;
  bool asked_for = false;              // this reset, by an operator
  std::optional<absl::Time> retry_at;  // after an opening that failed
  absl::Duration pause = absl::Seconds(1);
  std::deque<Job> jobs = {{.call = "open"}};
  std::deque<std::uint64_t> alarms_asked;  // and unanswered; each with its epoch
  std::optional<absl::Time> ask_at;        // for an alarm, again
  ino_t last_inode = 0;
};

class Model {
 public:
  Model(const QuotaLimits& limits, absl::Time now) : limits_(limits), now_(now) {}

  // Requests, as the broker should answer them: "OK", or the name of the error. The Begin...()
  // and Grant() are for those that were accepted.
  std::string JudgeConnect(const Peer& peer) const;
  std::string TakeInFlight(SessionId session, std::uint64_t fds);
  std::string JudgeAllocate(SessionId session, const AllocateRequest& request) const;
  void BeginAllocate(BufferId id, SessionId session, const AllocateRequest& request);
  bool LeasesAllowed(SessionId session, std::uint64_t count) const;
  std::string JudgeOpen(SessionId session, const OpenItem& item) const;
  std::optional<BufferId> Resolve(SessionId session, const OpenItem& item) const;
  void Grant(LeaseId lease, SessionId session, BufferId buffer);
  void Release(SessionId session, LeaseId lease);
  std::string Share(SessionId session, BufferId buffer, Grantee grantee);
  std::string Unshare(SessionId session, BufferId buffer, Grantee grantee, absl::Time deadline);
  void Park(SessionId session);
  std::string JudgeRevoke(const std::set<BufferId>& buffers) const;
  void BeginRevoke(RevocationId id, const std::set<BufferId>& buffers, absl::Time deadline);
  std::string Reset(const std::string& device, absl::Time deadline);
  // Takes back what was given up, unless `counting` says that it is being counted.
  void ReturnGivenUp(const std::function<bool(const std::string&, ino_t)>& counting);

  // The process ends, a new one goes on, its clients come back and its devices are as they were.
  // All are READY. Returns how many revocations there is no report of any more.
  std::size_t Restart(const std::map<std::string, ino_t>& last_inodes);
  // What a device answered to an allocation, or "" if it was something else.
  std::string Delivered(const std::string& device, const FakeBackend::Answer& answer,
                        std::optional<LeaseId> granted);
  void TimeIs(absl::Time now);
  void NextStep() { ++step_; }

  // The first difference between this and what the broker shows, or empty.
  std::string Differs(const Broker& broker) const;

  std::map<SessionId, Session> sessions;
  std::map<LeaseId, Lease> leases;
  std::map<BufferId, Buffer> buffers;
  std::map<std::string, DeviceModel> devices;
  std::map<RevocationId, Revocation> revocations;  // running, operators'
  std::map<std::string, Revocation> resets;        // running, by device
  std::map<RevocationId, Revocation> ended;        // operators'
  std::vector<std::pair<std::string, std::map<BufferId, Verdict>>> resets_ended;
  std::string broken;  // a rule that the broker broke towards a device

 private:
  std::uint64_t Used(Resource resource, const std::optional<Domain>& domain,
                     std::optional<uid_t> uid) const;
  bool Fits(const Domain& domain, Resource resource, std::uint64_t amount) const;
  bool MayOpen(const Peer& peer, const Buffer& buffer, std::optional<Grantee>* share) const;
  std::optional<BufferId> Named(const Domain& owner, const std::string& name) const;
  std::string Missing(BufferId buffer, const Peer& asker) const;
  std::string JudgeShare(SessionId session, BufferId buffer, Grantee grantee) const;
  std::set<LeaseId> LeasesOf(BufferId buffer) const;

  void AskBack(Revocation& revocation, RevokeReason reason);
  void TellAgain();
  void KeepRevocations();
  void Tell(const std::set<LeaseId>& leases, RevokeReason reason, absl::Time deadline);
  void EndLease(LeaseId lease);
  void Drain(Buffer& buffer, BufferId id);
  void Return(Buffer& buffer, BufferId id, std::optional<Verdict::Kind> kind);
  void Expire(Revocation& revocation);
  void HoldUncounted(Revocation& revocation);
  void Say(BufferId buffer, Verdict verdict, bool only_expired);
  void EndRevocations();
  void BeginReset(const std::string& device, absl::Time deadline);
  void GiveUp(const std::string& device);
  void CloseIfIdle();
  void Alarmed(const std::string& device, const std::optional<Alarm>& alarm);
  void Raised(const std::string& device, const Alarm& alarm);
  void Counted(const std::string& device, ino_t inode, std::uint32_t count);
  std::string Allocated(Buffer& buffer, BufferId id, bool ok, std::optional<LeaseId> granted);
  void EndReset(const std::string& device);
  void Opened(DeviceModel& device, bool ok);

  QuotaLimits limits_;
  absl::Time now_;
  std::map<BufferId, Fate> fates_;
  std::map<std::string, std::map<BufferId, Verdict>> reset_verdicts_;  // until the reset ends
  int step_ = 0;
};

}  // namespace hlbuf::model

#endif  // HLBUF_TESTS_MODEL_MODEL_H_
