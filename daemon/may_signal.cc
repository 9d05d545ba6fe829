// SPDX-License-Identifier: Apache-2.0
#include "daemon/may_signal.h"

#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/session/peer_identity.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

bool MaySignalOthers() {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  return ::syscall(SYS_capget, &header, data) == 0 &&
         (data[CAP_TO_INDEX(CAP_KILL)].effective & CAP_TO_MASK(CAP_KILL)) != 0;
}

bool KernelVouchesForPeers() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return false;
  const UniqueFd here(ends[0]), there(ends[1]);
  const absl::StatusOr<PeerIdentity> identity = IdentifyPeer(here.get());
  return identity.ok() && identity->vouched;
}

}  // namespace hlbuf
