// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_HOLDERS_REPORT_H_
#define HLBUF_CLIENT_CTL_HOLDERS_REPORT_H_

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/holders/answer.h"
#include "daemon/holders/question.h"
#include "hlbuf/v1/control.pb.h"
#include "hlbuf/v1/holders.pb.h"

namespace hlbuf::ctl {

// What the daemon says, to be looked at together.
struct DaemonSide {
  v1::ListDevicesResponse devices;
  v1::ListBuffersResponse buffers;
  v1::ListLeasesResponse leases;
  v1::ListSessionsResponse sessions;
  // The daemon's own process, which has its control socket; its copies, and those of its keepers,
  // are nobody else's.
  pid_t pid = 0;
  uid_t uid = 0;
  std::uint64_t pid_namespace = 0;  // 0: it could not be read
};

// Files to ask for: of those buffers that have one.
std::vector<HeldFile> FilesOf(const DaemonSide& daemon);

// Leases that were given while processes were looked at: whoever has one of these has not taken a
// buffer without.
void AddLaterLeases(const v1::ListLeasesResponse& later, DaemonSide& daemon);

// Puts both sides together. An answer that is an error is in the report's scope.
v1::HoldersReport MakeReport(const DaemonSide& daemon, const absl::StatusOr<HoldersAnswer>& answer);

// Whether somebody without a lease has a buffer, or something has that nothing explains.
bool HasStrangers(const v1::HoldersReport& report);
// Whether somebody may have been missed: not everything was looked at, and no count shows that
// there is nobody else.
bool MayMissSomebody(const v1::HoldersReport& report);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_HOLDERS_REPORT_H_
