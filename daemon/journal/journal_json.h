// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_JOURNAL_JOURNAL_JSON_H_
#define HLBUF_DAEMON_JOURNAL_JOURNAL_JSON_H_

#include <string>

#include "absl/strings/string_view.h"
#include "daemon/journal/journal_look.h"

namespace hlbuf {

// What journal_text.h has, as one document for programs, with all values. Times are nanoseconds
// since the machine was started ("since_boottime_ns").
std::string VerifyJson(const JournalLook& look, absl::string_view this_boot);
std::string DumpJson(const JournalLook& look);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_JOURNAL_JOURNAL_JSON_H_
