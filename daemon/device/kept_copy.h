// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_KEPT_COPY_H_
#define HLBUF_DAEMON_DEVICE_KEPT_COPY_H_

#include <cstdint>

#include "proto/wire/unique_fd.h"

namespace hlbuf {

// A duplicate of what a keeper keeps, close-on-exec, and under which id it does.
struct KeptCopy {
  std::uint64_t id = 0;
  UniqueFd fd;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_KEPT_COPY_H_
