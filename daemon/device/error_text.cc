// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/error_text.h"

#include <string.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

constexpr absl::string_view kErrno = "hlbuf.errno";

struct Remedy {
  int error;
  absl::string_view text;
};
constexpr std::array kRemedies = {
    Remedy{EACCES,
           "add the service's user (hl-bufd) to the group that owns the node, or give it one by a "
           "udev rule"},
    Remedy{EPERM, "the service's unit must allow it: see DeviceAllow= and SystemCallFilter="},
    Remedy{EMFILE, "the service has no free descriptor: raise LimitNOFILE= of its unit"},
    Remedy{ENFILE, "the machine has no free file: raise the sysctl fs.file-max"},
    Remedy{ENOMEM, "the machine, or MemoryMax= of the service's unit, has no memory left for it"},
    Remedy{ENOSPC, "the machine has no memory left for it"},
    Remedy{EFBIG, "it is larger than LimitFSIZE= of the service's unit allows"},
    Remedy{EINVAL, "the driver takes no such buffer: compare its module parameters with the size"},
    Remedy{ENOTTY, "the node belongs to another driver: check the device's path"},
    Remedy{ENODEV, "the device was removed"},
    Remedy{EBUSY, "the device is in use or resets; it may work later"},
};

std::string WithRemedy(absl::string_view what, int error) {
  std::string text = absl::StrCat(what, ": ", ErrnoText(error));
  for (const Remedy& remedy : kRemedies)
    if (remedy.error == error) absl::StrAppend(&text, "; ", remedy.text);
  return text;
}

}  // namespace

absl::Status CannotOpen(absl::string_view path, int error, absl::string_view when_missing) {
  const bool missing = error == ENOENT || error == ENODEV || error == ENXIO;
  return WithErrno(Error(ErrorCode::kDeviceUnavailable,
                         missing ? absl::StrCat(path, ": ", ErrnoText(error), "; ", when_missing)
                                 : WithRemedy(path, error)),
                   error);
}

absl::Status CallFailed(absl::string_view call, int error) {
  const bool no_memory = error == ENOMEM || error == ENOSPC;
  return Error(no_memory ? ErrorCode::kNoMemory : ErrorCode::kDeviceError, WithRemedy(call, error));
}

// The C library's words begin with a capital; these stand behind a colon.
std::string ErrnoText(int error) {
  const char* const text = strerrordesc_np(error);
  const char* const name = strerrorname_np(error);
  if (text == nullptr || name == nullptr) return absl::StrCat("errno ", error);
  std::string words = absl::StrCat(text, " (", name, ")");
  words[0] = absl::ascii_tolower(static_cast<unsigned char>(words[0]));
  return words;
}

absl::Status WithErrno(absl::Status status, int error) {
  status.SetPayload(kErrno, absl::Cord(absl::StrCat(error)));
  return status;
}

int ErrnoOf(const absl::Status& status) {
  int error = 0;
  const absl::optional<absl::Cord> payload = status.GetPayload(kErrno);
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &error)) return 0;
  return error;
}

std::string BytesText(std::uint64_t bytes) {
  constexpr std::array<std::pair<std::uint64_t, absl::string_view>, 3> kUnits = {{
      {std::uint64_t{1} << 30, " GiB"},
      {std::uint64_t{1} << 20, " MiB"},
      {std::uint64_t{1} << 10, " KiB"},
  }};
  for (const auto& [unit, name] : kUnits)
    if (bytes >= unit && bytes % unit == 0) return absl::StrCat(bytes / unit, name);
  return absl::StrCat(bytes, " bytes");
}

}  // namespace hlbuf
