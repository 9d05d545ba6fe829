// SPDX-License-Identifier: Apache-2.0
// Where PCI functions are in the tree, and what lies between them.
#ifndef HLBUF_CLIENT_CTL_DOCTOR_PCI_H_
#define HLBUF_CLIENT_CTL_DOCTOR_PCI_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/ctl/doctor/roots.h"

namespace hlbuf::ctl::doctor {

// Whether a function sends requests between those below it up to the root, by its Access Control
// Services.
enum class Acs { kPasses, kRedirects, kUnknown };
// From the bytes of its configuration space, as far as they were shown: 64 bytes to who is not
// root.
Acs AcsIn(absl::string_view config);

struct PciFunction {
  std::string address;
  Acs acs = Acs::kUnknown;
};

// A host bridge, by the function that stands for it.
struct HostBridge {
  std::string name;  // "pci0000:16"
  std::uint32_t vendor = 0;
  std::uint32_t device = 0;  // 0 with vendor 0: nothing stands for it
};

struct PciPlace {
  std::vector<PciFunction> upstream;  // the function itself first, then its bridges, to the root
  HostBridge host;
};

// Errors: NOT_FOUND  there is no such PCI function
absl::StatusOr<PciPlace> PlaceOf(const Roots& roots, const std::string& address);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_PCI_H_
