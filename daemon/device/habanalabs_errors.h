// SPDX-License-Identifier: Apache-2.0
// What the habanalabs driver means by an errno. Its own words go to the kernel's debug log only.
#ifndef HLBUF_DAEMON_DEVICE_HABANALABS_ERRORS_H_
#define HLBUF_DAEMON_DEVICE_HABANALABS_ERRORS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hlbuf {

enum class HabanalabsCall : std::uint8_t {
  kOpenCompute,
  kOpenControl,
  kInfo,
  kRegisterEventfd,
  kAlloc,
  kFree,
  kMap,
  kUnmap,
  kExport,
};

// `call`, told to people as `what`, failed with `error` (errno): what, why, what to do.
// ErrnoOf() of it is `error`.
//
// Errors: DEVICE_UNAVAILABLE  the card resets, is disabled, is another's, or is gone
//         NO_MEMORY           the card or the machine has none left
//         UNIMPLEMENTED       the driver is too old
//         DEVICE_ERROR        anything else
absl::Status HabanalabsCallFailed(HabanalabsCall call, absl::string_view what, int error);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_HABANALABS_ERRORS_H_
