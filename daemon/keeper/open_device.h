// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_KEEPER_OPEN_DEVICE_H_
#define HLBUF_DAEMON_KEEPER_OPEN_DEVICE_H_

#include <string>

#include "proto/wire/unique_fd.h"

namespace hlbuf {

// What a keeper opens.
enum class Opens { kCharacterDevices, kAnything };

// Opens `path` for reading and writing, close-on-exec. No descriptor: errno says why; EINVAL for a
// path that is not absolute, has a NUL or a "..", ENOTTY for what is no character device. That is
// judged by the opened file, not by the path.
UniqueFd OpenDevice(const std::string& path, Opens opens);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_KEEPER_OPEN_DEVICE_H_
