// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/habanalabs_errors.h"

#include <array>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"
#include "daemon/device/error_text.h"

namespace hlbuf {
namespace {

struct Row {
  HabanalabsCall call;
  int error;
  ErrorCode code;
  absl::string_view why;  // and what to do
};

using enum HabanalabsCall;
constexpr ErrorCode kAway = ErrorCode::kDeviceUnavailable;

constexpr std::array kRows = {
    Row{kOpenCompute, EBUSY, kAway,
        "the card opens once, and another program has it, or somebody still holds a dma-buf of an "
        "earlier opening; `hl-bufctl doctor` shows who"},
    Row{kOpenCompute, EAGAIN, kAway,
        "the card resets, or its last user is still being cleaned up; it can be opened later"},
    Row{kOpenCompute, EPERM, kAway,
        "the driver has disabled the card, or it needs a reset; make everybody let go of it, then "
        "write 1 to hard_reset in its directory of sysfs"},
    Row{kOpenCompute, ENOENT, kAway,
        "there is no such node; load the driver (modprobe habanalabs), and let udev make the node"},
    Row{kOpenCompute, ENXIO, kAway, "no card is behind this node any more"},
    Row{kOpenCompute, ENODEV, kAway, "the card was removed, or unbound from its driver"},
    Row{kOpenCompute, ENOMEM, ErrorCode::kNoMemory, "the machine has no memory left for it"},
    Row{kOpenControl, EPERM, kAway,
        "the driver has disabled the card; make everybody let go of it, then write 1 to hard_reset "
        "in its directory of sysfs"},
    Row{kOpenControl, ENOENT, kAway,
        "there is no such node; let udev make it, or check DeviceAllow= of the service's unit"},
    Row{kOpenControl, ENXIO, kAway, "no card is behind this control node"},
    Row{kOpenControl, ENODEV, kAway, "the card was removed, or unbound from its driver"},
    Row{kInfo, EBUSY, kAway, "the card resets, or is disabled"},
    Row{kInfo, EINVAL, ErrorCode::kDeviceError, "this driver does not know the question"},
    Row{kInfo, EOPNOTSUPP, ErrorCode::kDeviceError, "a control node does not answer that"},
    Row{kRegisterEventfd, EBUSY, kAway, "the card resets, or is disabled"},
    Row{kRegisterEventfd, EINVAL, ErrorCode::kDeviceError,
        "this opening of the card has an eventfd already"},
    Row{kRegisterEventfd, EOPNOTSUPP, ErrorCode::kDeviceError,
        "a control node takes no eventfd; the compute node does"},
    Row{kAlloc, EBUSY, kAway, "the card resets, or is disabled"},
    Row{kAlloc, ENOMEM, ErrorCode::kNoMemory,
        "the card has not that many free pages; release buffers"},
    Row{kFree, EBUSY, kAway, "the card resets, or is disabled"},
    Row{kFree, EINVAL, ErrorCode::kDeviceError,
        "the driver knows no such allocation, or it is still mapped"},
    Row{kMap, EBUSY, kAway, "the card resets, or is disabled"},
    Row{kMap, ENOMEM, ErrorCode::kNoMemory,
        "the card's address space, or the machine's memory, is used up"},
    Row{kMap, EINVAL, ErrorCode::kDeviceError, "the driver knows no such allocation"},
    Row{kUnmap, EBUSY, kAway, "the card resets, or is disabled"},
    Row{kUnmap, EINVAL, ErrorCode::kDeviceError,
        "the driver says that memory of it is still exported: somebody has a dma-buf of it, though "
        "none was counted"},
    Row{kExport, EBUSY, kAway,
        "the card is not operational: it resets, needs a reset, or is disabled; it is opened again "
        "when it is back"},
    Row{kExport, EINVAL, ErrorCode::kDeviceError,
        "the driver exports no such range: it is not mapped any more, is no memory of the card, or "
        "lies outside of what its PCI BAR shows; compare the BAR with the card's memory"},
    Row{kExport, ENOMEM, ErrorCode::kNoMemory,
        "the machine, or MemoryMax= of the service's unit, has no memory left for another dma-buf"},
    Row{kExport, EMFILE, ErrorCode::kDeviceError,
        "the service has no free descriptor: raise LimitNOFILE= of its unit"},
    Row{kExport, ENFILE, ErrorCode::kDeviceError,
        "the machine has no free file: raise the sysctl fs.file-max"},
    Row{kExport, EOPNOTSUPP, ErrorCode::kUnimplemented,
        "this driver exports no memory of a card that has virtual memory; use Linux 6.7 or later"},
    Row{kExport, EPERM, ErrorCode::kDeviceError,
        "the driver was loaded with the card's MMU disabled; load it without that"},
};

// Means the same whatever was called.
constexpr std::array kAnyCall = {
    Row{kInfo, ENODEV, kAway, "the card was removed, or unbound from its driver"},
    Row{kInfo, EAGAIN, kAway, "the card resets; try again later"},
    Row{kInfo, ENOTTY, ErrorCode::kDeviceError,
        "the node belongs to another driver, or is a control node"},
    Row{kInfo, EACCES, kAway,
        "add the service's user (hl-bufd) to the group that owns the node, or give it one by a "
        "udev rule"},
};

const Row* Find(HabanalabsCall call, int error) {
  for (const Row& row : kRows)
    if (row.call == call && row.error == error) return &row;
  for (const Row& row : kAnyCall)
    if (row.error == error) return &row;
  return nullptr;
}

}  // namespace

absl::Status HabanalabsCallFailed(HabanalabsCall call, absl::string_view what, int error) {
  if (const Row* const row = Find(call, error))
    return WithErrno(Error(row->code, absl::StrCat(what, ": ", ErrnoText(error), "; ", row->why)),
                     error);
  const absl::Status other = CallFailed(what, error);
  const bool opens = call == kOpenCompute || call == kOpenControl;
  return WithErrno(opens && ErrorCodeOf(other) == ErrorCode::kDeviceError
                       ? Error(kAway, other.message())
                       : other,
                   error);
}

}  // namespace hlbuf
