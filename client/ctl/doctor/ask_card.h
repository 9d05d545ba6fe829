// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_DOCTOR_ASK_CARD_H_
#define HLBUF_CLIENT_CTL_DOCTOR_ASK_CARD_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "client/ctl/doctor/cards.h"

namespace hlbuf::ctl::doctor {

// What a card says of itself by its control node, which any number of processes may have open, and
// which answers in a reset too.
struct CardAnswers {
  bool legacy_calls = false;  // ioctls of magic 'H', as before Linux 6.7
  std::uint32_t module_id = 0;
  std::uint64_t dram_bytes = 0;      // what users may have of it
  std::uint64_t reserved_bytes = 0;  // of the driver, in front of it; 0 also when it does not tell
  bool in_use = false;               // somebody has a context: a descriptor, or a dma-buf
};

// Errors: of the errno of what failed, with the path. FAILED_PRECONDITION: the node is not the
// device that sysfs means; nothing was opened.
absl::StatusOr<CardAnswers> AskCard(const DeviceFile& control);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_ASK_CARD_H_
