// SPDX-License-Identifier: Apache-2.0
// Reading of what the kernel shows as files. Errors are those of the errno, with the path in the
// message.
#ifndef HLBUF_CLIENT_CTL_DOCTOR_FILES_H_
#define HLBUF_CLIENT_CTL_DOCTOR_FILES_H_

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hlbuf::ctl::doctor {

// "PATH: TEXT". PERMISSION_DENIED only where root would get further: what root is refused is
// UNKNOWN.
absl::Status ErrorAt(const std::string& path, int error);

// The first bytes of a file, 64 KiB at most. FAILED_PRECONDITION: it is a device, a pipe or the
// like.
absl::StatusOr<std::string> FileBytes(const std::string& path);
// The same without blanks at its ends.
absl::StatusOr<std::string> FileText(const std::string& path);
// Calls `see` with each line, until it returns false. For files that are large.
absl::Status ForEachLine(const std::string& path,
                         const std::function<bool(absl::string_view)>& see);
// Sorted, without "." and "..".
absl::StatusOr<std::vector<std::string>> NamesIn(const std::string& directory);
absl::StatusOr<std::string> LinkAt(const std::string& path);
bool Exists(const std::string& path);
// Whether something is there. NOT_FOUND: nothing is.
absl::Status LookFor(const std::string& path);

// The last part of a path; of a program that was replaced too, which /proc calls "X (deleted)".
std::string BaseName(absl::string_view path);

// The rest of the line that starts with `key`, without blanks. "" when there is none.
std::string ValueIn(absl::string_view text, absl::string_view key);

// "6.12.95+deb12-amd64" is {6, 12}. nullopt: it is no version.
std::optional<std::pair<unsigned, unsigned>> KernelVersion(absl::string_view release);

// "PATH: Permission denied (needs root)": why something is unknown.
std::string WhyUnknown(const absl::Status& status);
// What to do about that.
std::string HowToKnow(const absl::Status& status);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_FILES_H_
