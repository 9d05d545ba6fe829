// SPDX-License-Identifier: Apache-2.0
// What is in a journal, for people. Nothing here knows what a session's secret is, or that there is
// one; of notes only the length is shown, for they are what a backend needs to open things.
#ifndef HLBUF_DAEMON_JOURNAL_JOURNAL_TEXT_H_
#define HLBUF_DAEMON_JOURNAL_JOURNAL_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "daemon/core/observer.h"
#include "daemon/core/policy.h"
#include "daemon/journal/journal_look.h"

namespace hlbuf {

// Who wrote it, when, what it has, and whether that fits together. `this_boot`: of this machine.
std::string VerifyText(const JournalLook& look, absl::string_view this_boot);
// A table of each kind that there is something of.
std::string DumpText(const JournalLook& look);

// Since the machine was started, which is what a journal's times are: "1h2m3.5s"; empty: none.
std::string BootTimeText(absl::Time time);
// "OPERATOR", as in the control API.
absl::string_view ReasonName(RevokeReason reason);
// "uid 1001" or "gid 100".
std::string GranteeText(const Grantee& grantee);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_JOURNAL_JOURNAL_TEXT_H_
