// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_CARD_DEVICE_WATCH_H_
#define HLBUF_TESTS_CARD_DEVICE_WATCH_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "tests/support/raw_client.h"

namespace hlbuf {

// Follows the notices about the one device of a service.
class DeviceWatch {
 public:
  explicit DeviceWatch(const std::string& client_socket);

  // Until it is READY in that life of it; false: it was not in time.
  bool BecomesReady(std::uint64_t epoch, std::chrono::milliseconds patience);

 private:
  RawClient client_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_CARD_DEVICE_WATCH_H_
