// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_DOCTOR_SERVICE_CONFIG_H_
#define HLBUF_CLIENT_CTL_DOCTOR_SERVICE_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace hlbuf::ctl::doctor {

// The service's own default.
inline constexpr absl::Duration kDefaultResetGrace = absl::Seconds(20);

// What doctor needs of the service's configuration.
struct ServiceConfig {
  std::string path;
  absl::Duration reset_grace = kDefaultResetGrace;
  std::vector<std::string> kinds = {"software"};  // of its devices

  // That somebody has chosen memory of the host, and no card.
  bool is_for_host_memory() const;
};

// A file that is not there is the built-in configuration.
//
// Errors: of the errno; INVALID_ARGUMENT: hl-bufd would not take this file either.
absl::StatusOr<ServiceConfig> ReadServiceConfig(const std::string& path);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_SERVICE_CONFIG_H_
