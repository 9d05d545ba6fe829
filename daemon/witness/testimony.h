// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_WITNESS_TESTIMONY_H_
#define HLBUF_DAEMON_WITNESS_TESTIMONY_H_

#include <sys/types.h>

#include <cstdint>

#include "daemon/core/witness.h"
#include "daemon/holders/answer.h"

namespace hlbuf {

// Who asked, to be told apart from those who are looked for.
struct Asker {
  uid_t uid = 0;
  std::uint64_t pid_namespace = 0;
};

// Takes the service's own copies out, and does the sum: of what the kernel counts, each descriptor,
// mapping and attachment explains one.
//
// Of the service are the process that asked, as the answer says, and its keepers: of its own user,
// and called as they call themselves. Who can have both could as well ask the keeper itself.
Testimony ToTestimony(const HoldersAnswer& answer, const Asker& asker);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_WITNESS_TESTIMONY_H_
