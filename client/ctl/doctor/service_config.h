// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_DOCTOR_SERVICE_CONFIG_H_
#define HLBUF_CLIENT_CTL_DOCTOR_SERVICE_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace hlbuf::ctl::doctor {

// The service's own defaults.
inline constexpr absl::Duration kDefaultResetGrace = absl::Seconds(20);
inline constexpr const char* kDefaultHoldersSocket = "/run/hl-bufd/holders/holders.sock";

// What doctor needs of the service's configuration.
struct ServiceConfig {
  std::string path;
  absl::Duration reset_grace = kDefaultResetGrace;
  std::vector<std::string> kinds = {"software"};  // of its devices
  // Where it asks hl-bufd-holders; empty: it asks nobody.
  std::string holders = kDefaultHoldersSocket;
  bool enforces = false;  // [enforcement] sends signals to somebody

  // That somebody has chosen memory of the host, and no card.
  bool is_for_host_memory() const;
};

// A file that is not there is the built-in configuration.
//
// Errors: of the errno; INVALID_ARGUMENT: hl-bufd would not take this file either.
absl::StatusOr<ServiceConfig> ReadServiceConfig(const std::string& path);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_SERVICE_CONFIG_H_
