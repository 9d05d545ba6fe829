// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_EXPORTER_H_
#define HLBUF_DAEMON_DEVICE_EXPORTER_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/core/backend.h"

namespace hlbuf {

// One kind of device memory, seen from the thread that may wait for it: every call is what the
// method of the same name in core/backend.h promises, made at once. No policy, and no state beyond
// the open device and the windows in use.
//
// One thread at a time. Any call may block for as long as the driver does.
class Exporter {
 public:
  virtual ~Exporter() = default;

  // Changes in Open() only.
  virtual const BackendTraits& traits() const = 0;
  virtual absl::Status Open() = 0;
  virtual absl::StatusOr<Allocation> Export(const AllocationSpec& spec) = 0;
  // Works in every state of the device: a buffer that was out during a reset comes back later. An
  // error tells why the window cannot go to other domains yet; the descriptor is closed anyway.
  virtual absl::Status Free(Allocation allocation) = 0;
  virtual absl::Status Reset(Drill drill) = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_EXPORTER_H_
