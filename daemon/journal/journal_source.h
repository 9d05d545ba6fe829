// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_JOURNAL_JOURNAL_SOURCE_H_
#define HLBUF_DAEMON_JOURNAL_JOURNAL_SOURCE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// A journal that is looked at: its bytes, in a memfd of this process, so that nobody else can
// change or cut them any more while they are judged.
struct JournalCopy {
  UniqueFd file;
  std::uint64_t hash = 0;  // of all of it
};

// A million records and more: no service has as many.
inline constexpr std::uint64_t kJournalBytesMax = std::uint64_t{1} << 30;

// The regular file at `path`, to be read. Nothing else is opened, so neither waits a FIFO for its
// other end nor does a device anything.
//
// Errors, in words for people: it is not there, may not be read, is no regular file, or is larger
// than `bytes_max`
absl::StatusOr<UniqueFd> OpenJournal(const std::string& path,
                                     std::uint64_t bytes_max = kJournalBytesMax);

// Where process `pid` has its journal, below `proc`: as the memfd of a service whose descriptors a
// service manager keeps, or as the file "journal" of its state directory.
//
// Errors, in words for people: there is no such process, it may not be looked at, or it has none
absl::StatusOr<std::string> FindJournalOf(pid_t pid, const std::string& proc = "/proc");

// Errors: of reading `file`, and of memory for the copy
absl::StatusOr<JournalCopy> CopyJournal(const UniqueFd& file);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_JOURNAL_JOURNAL_SOURCE_H_
