// SPDX-License-Identifier: Apache-2.0
// What the kernel refused, in words for people: what, why, what to do.
#ifndef HLBUF_DAEMON_DEVICE_ERROR_TEXT_H_
#define HLBUF_DAEMON_DEVICE_ERROR_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hlbuf {

// open() of a device node failed with `error` (errno). `when_missing` is the remedy where there is
// no such node. DEVICE_UNAVAILABLE, which also tells programs the errno (ErrnoOf()).
absl::Status CannotOpen(absl::string_view path, int error, absl::string_view when_missing);

// `call`, on the way to a buffer, failed with `error` (errno). NO_MEMORY when that says so, else
// DEVICE_ERROR.
absl::Status CallFailed(absl::string_view call, int error);

// "permission denied (EACCES)".
std::string ErrnoText(int error);
// The same status, which also tells programs its errno.
absl::Status WithErrno(absl::Status status, int error);
// 0: it tells none.
int ErrnoOf(const absl::Status& status);

// "64 MiB", "12 KiB", "100 bytes": exact, in the largest unit that is.
std::string BytesText(std::uint64_t bytes);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_ERROR_TEXT_H_
