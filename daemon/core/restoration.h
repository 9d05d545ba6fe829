// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_RESTORATION_H_
#define HLBUF_DAEMON_CORE_RESTORATION_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "daemon/core/device.h"
#include "daemon/core/kept.h"
#include "daemon/core/ledger.h"
#include "daemon/core/revocations.h"

namespace hlbuf {

// Makes records of what an earlier process kept, once. Its methods are called in their order.
//
// What is held stays charged, whatever the limits are now. Sessions are AWAY, without a charge of
// their own: the connection by which a client comes back brings one. Buffers are `returning`.
class Restoration {
 public:
  // `absent` hears what is told to AWAY sessions. `kept` is Check()ed.
  Restoration(Ledger& ledger, Notices& absent, Kept kept);

  // What its backend has to know. The device is ABSENT.
  std::vector<DeviceNote> TakeDevice(Device& device);
  void TakeRecords();

  // A revocation that had begun; of a reset, the one that its device goes on with.
  struct Asked {
    Revocations::Earlier earlier;
    absl::Time told;  // its deadline, as holders were told it
    Device* reset_of = nullptr;
  };
  std::vector<Asked> TakeRevocations();

  void TellWhatIsLost();

 private:
  // Of an operator's revocation whose deadline passed, or nearly so, while nobody was heard.
  static constexpr absl::Duration kLeastLeft = absl::Seconds(2);

  void TakeEpochPage();
  void Take(const KeptSession& kept);
  void Take(KeptBuffer kept);
  std::unique_ptr<BufferRecord> RecordOf(KeptBuffer kept, Device& device);
  // With its charges, and what it takes of its device.
  void Add(std::unique_ptr<BufferRecord> buffer);
  void Take(const KeptLease& kept);
  void Lose(const KeptBuffer& kept, const Device& device);
  // Of a device that is not there any more.
  void Miss(const KeptLease& kept, SessionRecord* holder);
  void GoOn(LeaseRecord& lease);
  // The revocation of which the lease was told its deadline; null: it was an UNSHARE.
  const Asked* WhoTold(const LeaseRecord& lease) const;
  Revocations::Earlier EarlierOf(const KeptRevocation& kept);
  void SkipIds() const;

  Ledger& ledger_;
  Notices& absent_;
  Kept kept_;
  absl::flat_hash_map<std::string, Device*> devices_;
  absl::flat_hash_map<BufferId, LostBuffer> given_up_;
  std::vector<BufferId> homeless_;  // in the order of their ids
  std::size_t buffers_missed_ = 0;  // of those, that had not ended before
  std::size_t leases_missed_ = 0;
  absl::btree_map<RevocationId, Asked> asked_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_RESTORATION_H_
