// SPDX-License-Identifier: Apache-2.0
// What clients may call things. Checked once, where it arrives; everything behind may print it.
#ifndef HLBUF_DAEMON_CORE_NAMES_H_
#define HLBUF_DAEMON_CORE_NAMES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hlbuf {

inline constexpr std::size_t kNameBytesMax = 63;
inline constexpr std::size_t kLabelsMax = 8;
inline constexpr std::size_t kLabelBytesMax = 256;

// 1 to 63 bytes of [A-Za-z0-9._/-]. `what` begins the message: "buffer name", "device name".
absl::Status CheckName(absl::string_view what, absl::string_view name);

// At most 8 of key=value, 256 bytes together; a key is a name, a value is printable ASCII; no key
// twice.
absl::Status CheckLabels(const std::vector<std::string>& labels);

// `text` with everything but printable ASCII replaced by '?', at most `bytes_max` of it: for
// messages about refused text.
std::string Printable(absl::string_view text, std::size_t bytes_max = kNameBytesMax);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_NAMES_H_
