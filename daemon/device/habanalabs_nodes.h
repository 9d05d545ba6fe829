// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_HABANALABS_NODES_H_
#define HLBUF_DAEMON_DEVICE_HABANALABS_NODES_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/device/syscalls.h"

namespace hlbuf {

// Where sysfs and the device nodes are.
struct SystemRoots {
  std::string sys = "/sys";
  std::string dev = "/dev";
};

// A device node, as sysfs describes it. Its number is the one thing that cannot be mistaken: names
// have changed with kernels, and nodes can be left over.
struct DeviceNode {
  std::string path;  // "/dev/accel/accel0", "/dev/hl0"
  dev_t number = 0;
};

// A card that the driver has bound to.
struct HabanalabsNodes {
  DeviceNode compute;
  std::optional<DeviceNode> control;
  std::string pci;          // "0000:19:00.0"
  std::string attributes;   // the directory of status, hard_reset and the others
  std::string device_type;  // "GAUDI", "GAUDI2"
  // Which of the cards of its machine it is. nullopt: this driver does not tell.
  std::optional<std::uint32_t> module_id;
  // How much of the card's memory PCI shows to others. nullopt: unknown.
  std::optional<std::uint64_t> bar_bytes;
};

// The cards below the classes accel and habanalabs of sysfs, by PCI address.
std::vector<HabanalabsNodes> FindHabanalabsCards(Syscalls& syscalls, const SystemRoots& roots);

// The card at `pci`; where that is empty, the only one.
//
// Errors: DEVICE_UNAVAILABLE  there is none, or none at that address (and what is there instead)
//         INVALID_ARGUMENT    there are several, and `pci` is empty
absl::StatusOr<HabanalabsNodes> FindHabanalabsCard(Syscalls& syscalls, const SystemRoots& roots,
                                                   absl::string_view pci);

// DEVICE_ERROR unless `fd`, an open descriptor of node.path, is the device that sysfs means.
absl::Status CheckDeviceNode(Syscalls& syscalls, int fd, const DeviceNode& node);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_HABANALABS_NODES_H_
