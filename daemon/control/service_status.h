// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_SERVICE_STATUS_H_
#define HLBUF_DAEMON_CONTROL_SERVICE_STATUS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "daemon/core/broker.h"
#include "daemon/core/enforcement.h"
#include "daemon/core/loss.h"
#include "hlbuf/v1/status.pb.h"

namespace hlbuf {

// What an operator wants to know of the service and the broker does not.
struct ServiceFacts {
  // Numbers are those of the control API's, less its UNSPECIFIED.
  enum class Place : std::uint8_t { kNone, kFdStore, kDirectory };

  std::string version;
  std::uint64_t life = 0;
  absl::Time started;  // of the injected clock
  EnforcementSettings enforcement;
  // Where the next process finds what is held.
  Place place = Place::kNone;
  std::string directory;
  bool verified = false;
  std::vector<std::string> troubles;
  std::vector<Loss> losses;
};
// As of now. Broker thread.
using FactsNow = std::function<ServiceFacts()>;

// Sessions that are away are listed up to kAwayShown.
inline constexpr int kAwayShown = 100;
hlbuf::v1::ServiceStatus StatusOf(const Broker& broker, const ServiceFacts& facts);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_SERVICE_STATUS_H_
