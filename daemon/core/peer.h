// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_PEER_H_
#define HLBUF_DAEMON_CORE_PEER_H_

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace hlbuf {

// What the kernel shows for an id that has no name in the daemon's user namespace
// (/proc/sys/kernel/overflowuid).
inline constexpr uid_t kNobodyUid = 65534;

// Who must not see whose bytes. Two containers of one uid are two domains.
struct Domain {
  uid_t uid = kNobodyUid;
  std::string container;  // empty outside of containers

  friend bool operator==(const Domain&, const Domain&) = default;
  template <class H>
  friend H AbslHashValue(H h, const Domain& d) {
    return H::combine(std::move(h), d.uid, d.container);
  }
  // The id of a container has 64 digits, of which people use 12; its name is told whole.
  std::string Text() const {
    if (container.empty()) return "uid " + std::to_string(uid);
    const bool named = container.find(':') != std::string::npos;
    return "uid " + std::to_string(uid) + ", container " +
           (named ? container : container.substr(0, 12));
  }
};

// A process as the kernel vouched for it when its connection was made. Whatever it says of itself
// is not in here.
struct Peer {
  uid_t uid = kNobodyUid;
  gid_t gid = kNobodyUid;
  std::vector<gid_t> groups;  // supplementary ones too, sorted
  pid_t pid = 0;              // 0: not visible from the daemon's pid namespace
  std::string container;      // id or name as its cgroup shows it, else empty
  std::string unit;           // systemd unit of its cgroup, else empty
  std::uint32_t job = 0;      // of Slurm, by its cgroup; 0: none
  // What tells this process from a later one of the same pid. The first is unique for a boot, and
  // 0 before Linux 6.9 (pidfs); the second has the kernel's clock ticks since boot, /proc/PID/stat.
  std::uint64_t pidfd_inode = 0;
  std::uint64_t start_ticks = 0;

  // An unmapped uid or an invisible process is nobody: no rule ever matches it.
  bool known() const { return uid != kNobodyUid && uid != static_cast<uid_t>(-1) && pid > 0; }
  // Nor does membership in nobody's group say anything.
  bool InGroup(gid_t group) const {
    return group != kNobodyUid &&
           (gid == group || std::binary_search(groups.begin(), groups.end(), group));
  }
  // Whatever is nobody is one domain: it shares one account, and owns nothing.
  Domain domain() const { return known() ? Domain{.uid = uid, .container = container} : Domain(); }
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_PEER_H_
