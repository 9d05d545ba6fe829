// SPDX-License-Identifier: Apache-2.0
// The cards of this node, as sysfs shows them.
#ifndef HLBUF_CLIENT_CTL_DOCTOR_CARDS_H_
#define HLBUF_CLIENT_CTL_DOCTOR_CARDS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/ctl/doctor/roots.h"

namespace hlbuf::ctl::doctor {

// A device node as sysfs means it, and what lies at its path.
struct DeviceFile {
  std::string path;
  dev_t meant = 0;
  absl::Status looked;  // not OK: the rest is not known
  bool is_device = false;
  dev_t number = 0;
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

struct Card {
  std::string pci;      // "0000:19:00.0"
  bool legacy = false;  // nodes of class habanalabs, as before Linux 6.7
  DeviceFile compute;
  std::optional<DeviceFile> control;
  std::string attributes;   // the directory of status and the others
  std::string device_type;  // "GAUDI2"
  std::string status;       // "Operational"; empty: the driver does not tell
  std::optional<std::uint32_t> module_id;
  std::string resource;  // the file that tells of its BARs
  // How much of its memory PCI shows to others. nullopt: unknown.
  std::optional<std::uint64_t> bar_bytes;
  std::string debug;  // its directory in debugfs
};

// By PCI address.
std::vector<Card> FindCards(const Roots& roots);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_CARDS_H_
