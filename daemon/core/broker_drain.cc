// SPDX-License-Identifier: Apache-2.0
// What operators ask of the broker before maintenance, and after a job.
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/broker.h"
#include "daemon/core/error.h"

namespace hlbuf {

absl::StatusOr<Device*> Broker::FindNamed(absl::string_view name) const {
  if (Device* device = FindDevice(name); device != nullptr) return device;
  return Error(ErrorCode::kNotFound,
               absl::StrCat("there is no device '", name, "'; ListDevices shows those that are"));
}

absl::Status Broker::DrainDevice(absl::string_view name, DrainRequest request,
                                 Emptying::Done done) {
  ASSIGN_OR_RETURN(Device * device, FindNamed(name));
  resets_.Drain(*device, std::move(request.by));
  if (request.grace.has_value())
    revocations_.Begin(ledger_.HeldOf(*device), RevokeReason::kOperator, *request.grace,
                       [](const RevocationReport&) {});
  emptying_.Wait(*device, request.patience, std::move(done));
  return absl::OkStatus();
}

absl::Status Broker::UndrainDevice(absl::string_view name) {
  ASSIGN_OR_RETURN(Device * device, FindNamed(name));
  resets_.Undrain(*device);
  emptying_.EndAll(*device);
  return absl::OkStatus();
}

}  // namespace hlbuf
