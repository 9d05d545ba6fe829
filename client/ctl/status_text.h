// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_STATUS_TEXT_H_
#define HLBUF_CLIENT_CTL_STATUS_TEXT_H_

#include <string>

#include "absl/time/time.h"
#include "client/ctl/exit_code.h"
#include "hlbuf/v1/status.pb.h"

namespace hlbuf::ctl {

// kFailed: a device has; kLost: all works, but something was lost since the service was started, or
// would not survive a restart of it.
ExitCode HealthOf(const v1::ServiceStatus& status);

// One screen for an operator. Ages are as of `now`.
std::string StatusText(const v1::ServiceStatus& status, absl::Time now);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_STATUS_TEXT_H_
