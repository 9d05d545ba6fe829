// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_HABANALABS_SHAPE_H_
#define HLBUF_DAEMON_DEVICE_HABANALABS_SHAPE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/device/device_config.h"
#include "daemon/device/habanalabs_memory.h"
#include "daemon/device/habanalabs_nodes.h"
#include "daemon/device/habanalabs_uapi.h"

namespace hlbuf {

// Whether cards of this type (sysfs' device_type) have physical addresses, and no allocator.
bool HasPhysicalMemory(absl::string_view device_type);

// What of an open card's memory can be given out.
//
// Errors: UNIMPLEMENTED       a card of this type exports none
//         INVALID_ARGUMENT    config.size_bytes is less than the card gives out at once
//         DEVICE_ERROR        what the driver says makes no sense
absl::StatusOr<CardMemory> ShapeOf(const DeviceConfig& config, const HabanalabsNodes& nodes,
                                   const HabanalabsDriver& driver, const hl::HwIp& hw_ip);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_HABANALABS_SHAPE_H_
