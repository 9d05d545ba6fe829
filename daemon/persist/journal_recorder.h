// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_PERSIST_JOURNAL_RECORDER_H_
#define HLBUF_DAEMON_PERSIST_JOURNAL_RECORDER_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "daemon/core/kept.h"
#include "daemon/core/recorder.h"
#include "daemon/persist/journal.h"
#include "daemon/persist/row_writer.h"

namespace hlbuf {

// Writes what the broker knows into a journal.
//
// Reserve() makes room beforehand. Where a write fails all the same, the journal no longer is what
// the broker knows: it is given up, so that the next process starts without it instead of from
// something else, and `given_up` is told why, once.
class JournalRecorder final : public Recorder {
 public:
  using GivenUp = absl::AnyInvocable<void(const absl::Status&)>;
  JournalRecorder(Journal& journal, GivenUp given_up)
      : journal_(journal), rows_(journal), given_up_(std::move(given_up)) {}

  absl::Status Reserve(std::size_t records) override;
  void Write(const Device& device) override;
  void Write(const SessionRecord& session) override;
  void Write(const BufferRecord& buffer) override;
  void Write(const LeaseRecord& lease) override;
  void Write(const RevocationReport& report) override;
  void Write(const Device& device, const DeviceNote& note) override;
  void Forget(SessionId id) override;
  void Forget(BufferId id) override;
  void Forget(LeaseId id) override;
  void Forget(RevocationId id) override;

 private:
  void WriteShares(BufferId id, const std::vector<Grantee>& shares);
  void Judge(const absl::Status& written);

  Journal& journal_;
  RowWriter rows_;
  GivenUp given_up_;
  RowTexts texts_;  // of the row that is being written
  bool broken_ = false;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_PERSIST_JOURNAL_RECORDER_H_
