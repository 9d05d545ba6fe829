// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_JOURNAL_JOURNAL_LOOK_H_
#define HLBUF_DAEMON_JOURNAL_JOURNAL_LOOK_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/core/kept.h"
#include "daemon/persist/journal.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

struct RecordCount {
  std::string kind;  // "sessions"
  std::size_t count = 0;
};

// What somebody who looks into a journal gets to know.
struct JournalLook {
  std::string written_by;  // version
  std::string boot_id;     // as /proc/sys/kernel/random/boot_id has it
  std::vector<RecordCount> records;
  std::size_t capacity = 0;  // slots
  std::size_t damaged = 0;   // slots that are neither free nor whole
  std::size_t leftover = 0;  // records that belong to nothing; they are no damage
  // It was written whenever it was copied: there may be more than is here, and less.
  bool changing = false;
  absl::Status consistent;  // else DATA_LOSS: what is wrong; `kept` is empty then
  Kept kept;
};

// Of a journal that its service may be writing into: what is half written is copied again.
//
// Errors: DATA_LOSS            no journal, or one whose header is damaged
//         FAILED_PRECONDITION  of a later version
//         and those of CopyJournal()
absl::StatusOr<JournalLook> LookInto(const UniqueFd& file);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_JOURNAL_JOURNAL_LOOK_H_
