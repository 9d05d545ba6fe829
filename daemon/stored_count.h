// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_STORED_COUNT_H_
#define HLBUF_DAEMON_STORED_COUNT_H_

#include <cstdint>

#include "absl/status/statusor.h"

namespace hlbuf {

// How many descriptors systemd keeps for the unit of this process: its NFileDescriptorStore, which
// it tells everybody at the system bus. Blocks for seconds where that does not answer; any thread.
//
// Errors, in words: there is no bus, or this process is in no service of systemd's
absl::StatusOr<std::uint32_t> CountStoredDescriptors();

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_STORED_COUNT_H_
