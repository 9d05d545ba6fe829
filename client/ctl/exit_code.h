// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_EXIT_CODE_H_
#define HLBUF_CLIENT_CTL_EXIT_CODE_H_

namespace hlbuf::ctl {

// What scripts decide by; published in --help.
enum class ExitCode {
  kOk = 0,
  kFailed = 1,       // refused by the daemon, or tried and failed; doctor found a problem, status
                     // a device that has FAILED
  kBadUsage = 2,     // the command line makes no sense
  kUnreachable = 3,  // no daemon answered
  kHeld = 4,         // nothing failed, but somebody still has a buffer
  kLost = 5,         // all works, but something was lost, or would not survive a restart
};

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_EXIT_CODE_H_
