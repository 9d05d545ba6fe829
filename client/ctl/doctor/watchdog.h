// SPDX-License-Identifier: Apache-2.0
// How long the driver waits for a card to be released before it resets it by force.
#ifndef HLBUF_CLIENT_CTL_DOCTOR_WATCHDOG_H_
#define HLBUF_CLIENT_CTL_DOCTOR_WATCHDOG_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/ctl/doctor/cards.h"
#include "client/ctl/doctor/finding.h"
#include "client/ctl/doctor/service_config.h"

namespace hlbuf::ctl::doctor {

// What hl-bufd counts on. 0: such a driver does not wait.
absl::Duration WindowOf(bool legacy, const std::string& kernel);

struct Watchdog {
  std::string kernel;
  absl::Duration window;                                         // by the kernel's version
  std::string file;                                              // in debugfs
  absl::StatusOr<std::string> seconds = absl::UnknownError("");  // what it says
};
Watchdog ReadWatchdog(const Card& card, bool legacy, const std::string& kernel);

Finding JudgeWatchdog(const std::string& pci, const Watchdog& watchdog,
                      const absl::StatusOr<ServiceConfig>& config);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_WATCHDOG_H_
