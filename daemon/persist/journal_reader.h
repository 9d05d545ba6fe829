// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_PERSIST_JOURNAL_READER_H_
#define HLBUF_DAEMON_PERSIST_JOURNAL_READER_H_

#include <vector>

#include "absl/status/statusor.h"
#include "daemon/core/kept.h"
#include "daemon/persist/journal.h"

namespace hlbuf {

struct ReadJournal {
  Kept kept;
  // Records that belong to none of these: left by a process that was killed between two writes, or
  // of a kind that only a later version knows.
  std::vector<JournalKey> leftover;
};

// Everything that is in a journal, as Check() has found it good.
//
// Errors: DATA_LOSS  a slot is damaged, a record is not one that hl-bufd writes, or they do not fit
//                    together: which, and why. Nothing of such a journal can be trusted: what is
//                    missing may be a window that somebody has.
absl::StatusOr<ReadJournal> Read(const Journal& journal);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_PERSIST_JOURNAL_READER_H_
