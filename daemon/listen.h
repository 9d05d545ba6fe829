// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_LISTEN_H_
#define HLBUF_DAEMON_LISTEN_H_

#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "daemon/passed_descriptors.h"
#include "daemon/session/listen_at.h"

namespace hlbuf {

struct WantedSocket {
  std::string name;  // FileDescriptorName= of its unit
  std::string key;   // of the configuration: "sockets.client"
  std::string path;
  int type = 0;  // SOCK_*
  mode_t mode = 0;
  std::optional<gid_t> group;
};

// The socket that the service manager passed under that name, if it did: it has to be what is
// wanted, and has no file to remove, since it stays when the service goes. Otherwise one of our
// own, whose directory is made if it is not there.
//
// Errors say what to change: a socket that is another one than is configured, or that lies where
// others could replace it.
absl::StatusOr<ListeningSocket> Listen(const WantedSocket& wanted, PassedDescriptors& passed);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_LISTEN_H_
