// SPDX-License-Identifier: Apache-2.0
// How much may be out at once, from how many file descriptors this process may have and how much
// memory its devices have.
#ifndef HLBUF_DAEMON_LIMITS_H_
#define HLBUF_DAEMON_LIMITS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/core/quota.h"

namespace hlbuf {

// What the administrator set; nullopt: the default.
struct GivenLimits {
  using Given = std::array<std::optional<std::uint64_t>, kResourceCount>;
  Given service = {};
  Given uid = {};
  Given domain = {};
};

// What there is to share out.
struct Means {
  std::uint64_t nofile = 0;                 // hard RLIMIT_NOFILE of this process
  std::uint64_t devices = 1;                // how many
  std::uint64_t device_bytes = kUnlimited;  // of all of them together
  bool bytes_known = true;                  // false: `device_bytes` is a guess
};

// A buffer costs the daemon one descriptor, a session two: its socket and its peer's pidfd.
struct Caps {
  std::uint64_t nofile = 0;               // RLIMIT_NOFILE, as far as it is made use of
  std::uint64_t own_descriptors = 0;      // loop, listeners, devices, gRPC's own
  std::uint64_t control_connections = 0;  // of the control API, two descriptors each
  QuotaLimits limits;
};

// With fewer descriptors the daemon cannot do its work.
std::uint64_t NofileMin(std::uint64_t devices = 1);

// What is given holds as it is; the rest follows from it and from `means`: as many buffers and
// sessions as there are descriptors for, as many bytes as the devices have. By default one uid may
// take three quarters of the service, and one domain half of it: nobody keeps everybody else out.
//
// In flight counts what peers have not received yet. The kernel charges it to the daemon's uid and
// refuses to send when it exceeds RLIMIT_NOFILE (unix(7)); the other half of that is left to the
// keepers, which run under the same uid.
Caps DeriveCaps(const Means& means, const GivenLimits& given = {});

// A given limit that cannot be kept.
struct LimitFault {
  enum class Scope : std::uint8_t { kService, kUid, kDomain };
  Scope scope = Scope::kService;
  Resource resource = Resource::kBytes;
  std::string text;  // why, and what to do
};
// `caps` were derived from `given`.
std::vector<LimitFault> FindFaults(const Caps& caps, const GivenLimits& given);

// Of the service, of one uid, of one domain; in one line for the log.
std::string Describe(const Caps& caps, absl::string_view separator = "; ");

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_LIMITS_H_
