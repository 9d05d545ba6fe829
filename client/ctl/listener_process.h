// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_LISTENER_PROCESS_H_
#define HLBUF_CLIENT_CTL_LISTENER_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>

namespace hlbuf::ctl {

// Who serves at a listening Unix socket, as the kernel knows it.
struct ListenerProcess {
  pid_t pid = 0;
  uid_t uid = 0;
};

// Who made the socket listen, which SO_PEERCRED tells, or another process that has it. That is who
// serves where a service manager listens, and passes the socket on: only who has the socket can
// pass it, so nobody else gets into this. Another is found by root, and by who serves.
//
// nullopt: nobody listens there.
std::optional<ListenerProcess> FindListener(const std::string& path);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_LISTENER_PROCESS_H_
