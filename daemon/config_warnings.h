// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONFIG_WARNINGS_H_
#define HLBUF_DAEMON_CONFIG_WARNINGS_H_

#include <string>
#include <vector>

#include "daemon/config.h"

namespace hlbuf {

// What the process and its kernel let a configuration do.
struct MeansToSignal {
  bool other_users = true;      // CAP_KILL
  bool vouched_clients = true;  // SO_PEERPIDFD
};

// What a good configuration will not do although somebody may expect it, and how to change that.
std::vector<std::string> WarningsOf(const Config& config, const MeansToSignal& means);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONFIG_WARNINGS_H_
