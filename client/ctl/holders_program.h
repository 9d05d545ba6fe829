// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_HOLDERS_PROGRAM_H_
#define HLBUF_CLIENT_CTL_HOLDERS_PROGRAM_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/holders/answer.h"
#include "daemon/holders/holders_wire.h"
#include "daemon/holders/question.h"

namespace hlbuf::ctl {

// Runs `program`, with the rights of this process and an empty environment, never through a shell,
// and asks it of `files`; in portions, where one question cannot have them all. What could not be
// read in one of them counts for all.
//
// Errors, in words for people: it cannot be run, or takes no question and gives no answer in
// `patience`, which is longer than the program lives.
absl::StatusOr<HoldersAnswer> AskHolders(
    const std::string& program, const std::vector<HeldFile>& files,
    absl::Duration patience = absl::Seconds(HLBUF_HOLDERS_SECONDS_MAX + 5));

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_HOLDERS_PROGRAM_H_
