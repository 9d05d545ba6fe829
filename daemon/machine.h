// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_MACHINE_H_
#define HLBUF_DAEMON_MACHINE_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace hlbuf {

// What a configuration depends on besides its text.
struct Machine {
  std::uint64_t nofile = 0;        // hard RLIMIT_NOFILE of this process
  std::uint64_t memory_bytes = 0;  // MemTotal
  bool maps_all_ids = false;       // whether users and groups are the host's
  // nullopt: the system has no such group, or cannot tell.
  std::function<std::optional<gid_t>(const std::string& name)> find_group;
};

Machine ThisMachine();

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_MACHINE_H_
