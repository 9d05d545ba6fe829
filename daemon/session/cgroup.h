// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_SESSION_CGROUP_H_
#define HLBUF_DAEMON_SESSION_CGROUP_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hlbuf {

// Longer than what runtimes make, seven containers in containers for one. Who may make groups could
// have names as long as a path otherwise, in every record, event and list.
inline constexpr std::size_t kPlaceBytesMax = 512;

// What a process's control group says about where it runs.
struct CgroupPlace {
  // 64 hexadecimal digits, as most container runtimes name them; "machine:NAME" of systemd-nspawn
  // and whatever else machined registers, virtual machines included; "lxc:NAME" of LXC; empty
  // outside. Containers in containers are named from the outermost on, with '/' between: who may
  // make groups inside of one container can call them what he likes, but never gets out from under
  // its name.
  std::string container;
  // The innermost systemd unit; empty if there is none. Cut to kPlaceBytesMax: nothing is decided
  // by it.
  std::string unit;
  // Of Slurm, as its daemon has named the group near the root, where only root makes groups; 0 if
  // there is none. A container that the job started is in the job, too; what a container calls a
  // group of its own says nothing.
  std::uint32_t job = 0;
};

// Reads the text of /proc/<pid>/cgroup: the unified hierarchy's line ("0::/path") where there is
// one, else the line of "name=systemd"; for the container, where those show none, any line. Only
// the kernel and those who may move processes write it; the path's own components are data all the
// same.
CgroupPlace ParseCgroup(absl::string_view text);

// Errors: OUT_OF_RANGE  the container's name is longer than kPlaceBytesMax. It cannot be cut: two
//                       containers of one name would be one domain
absl::Status CheckPlace(const CgroupPlace& place);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_SESSION_CGROUP_H_
