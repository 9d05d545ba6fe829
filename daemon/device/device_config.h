// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_DEVICE_CONFIG_H_
#define HLBUF_DAEMON_DEVICE_DEVICE_CONFIG_H_

#include <cstdint>
#include <string>

namespace hlbuf {

inline constexpr std::uint64_t kUdmabufDefaultBytes = std::uint64_t{1} << 30;

// One device, as the administrator describes it.
struct DeviceConfig {
  std::string name;                   // what clients call it
  std::string kind = "software";      // a row of make_backends.cc
  std::string path;                   // of its node; empty: where the kind has it
  std::string pci;                    // address of its card; empty: the only one there is
  std::uint64_t size_bytes = 0;       // all buffers together; 0: what the kind takes for it
  std::string isolation = "cleared";  // or "none": memory is not cleared between domains
  bool drills = false;                // whether failing resets may be tried on it

  friend bool operator==(const DeviceConfig&, const DeviceConfig&) = default;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_DEVICE_CONFIG_H_
