// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_STATE_JOURNAL_H_
#define HLBUF_DAEMON_STATE_JOURNAL_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/core/kept.h"
#include "daemon/core/recorder.h"
#include "daemon/persist/journal.h"
#include "daemon/persist/journal_recorder.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// Where this service writes down what it knows, and what an earlier process of it has. Until one of
// the Open...() it remembers nothing.
//
// A journal that cannot be read is never the end of the service: it is set aside, and the service
// begins with nothing.
class StateJournal final : public Recorder {
 public:
  // Told, in words, that no more can be written down: when there is no room for the first time, and
  // when a write has failed, after which nothing is.
  using OnTrouble = std::function<void(const std::string&)>;
  explicit StateJournal(OnTrouble on_trouble = [](const std::string&) {})
      : on_trouble_(std::move(on_trouble)) {}

  struct Found {
    Kept kept;
    std::string set_aside;  // why an earlier journal was, and where it is; empty: none was
    UniqueFd aside;         // that journal, where it is no file
  };

  // In the file "journal" of `directory`, which is made if it is not there. One that is set aside
  // is renamed to "journal.bad-N".
  //
  // Errors: FAILED_PRECONDITION  the directory is not this user's alone, is on a disk, or another
  //                              process uses the journal
  //         others               of opening and creating files
  absl::StatusOr<Found> OpenIn(const std::string& directory);
  // In `stored`, a memfd of an earlier process; without a descriptor in a new one.
  // Errors: those of creating it, and of having no descriptor left for it
  absl::StatusOr<Found> OpenStored(UniqueFd stored);

  bool is_open() const { return journal_ != nullptr; }
  // Whether the next process will find here what this one has.
  bool keeps() const { return is_open() && broken_.empty(); }
  // As of the last request; empty: there is none.
  const std::string& trouble() const { return broken_.empty() ? full_ : broken_; }
  int fd() const { return journal_->fd(); }

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
  // DATA_LOSS, FAILED_PRECONDITION: it has to be set aside.
  absl::StatusOr<Kept> Adopt(UniqueFd file);
  absl::Status Create(UniqueFd file);
  void Record(std::unique_ptr<Journal> journal);

  const OnTrouble on_trouble_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<JournalRecorder> recorder_;
  std::string broken_;  // a write has failed
  std::string full_;    // there was no room
  bool full_was_told_ = false;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_STATE_JOURNAL_H_
