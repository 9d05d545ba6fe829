// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_CARD_CARD_NODES_H_
#define HLBUF_TESTS_CARD_CARD_NODES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hlbuf {

// Where a card shows in the system, as sysfs says. Found without the product's help, against which
// it is used.
struct CardNodes {
  std::string pci;        // "0000:19:00.0"
  std::string compute;    // "/dev/accel/accel0", "/dev/hl0"
  std::string control;    // "/dev/accel/accel_controlD0", "/dev/hl_controlD0"
  std::string directory;  // in sysfs, with `status`, `hard_reset` ...
  int index = 0;          // N of the nodes
  bool legacy = false;    // nodes and calls of kernels before 6.7

  // An attribute without its end of line; empty when there is none.
  std::string Attribute(const std::string& name) const;
  std::uint64_t Number(const std::string& name) const;
  // A file of the driver's directory in debugfs.
  std::string DebugFile(const std::string& name) const;
  // Whether it is the stand-in of tests/vm/hlsim, by a file that the driver does not have. Needs
  // root.
  bool IsStandIn() const;
};

// Those of the habanalabs driver, by index.
std::vector<CardNodes> FindCards();
std::optional<CardNodes> FindCard(const std::string& pci);
// Devices of other drivers that have nodes in /dev/accel, by name ("accel1").
std::vector<std::string> OtherAccelerators();

}  // namespace hlbuf

#endif  // HLBUF_TESTS_CARD_CARD_NODES_H_
