// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/outbox.h"

#include <algorithm>

namespace hlbuf {

void Outbox::PushDevice(absl::string_view device, Frame frame) {
  std::erase_if(items_, [&](const Item& item) {
    const auto* pending = std::get_if<PendingFrame>(&item);
    return pending != nullptr && pending->device == device;
  });
  items_.emplace_back(
      PendingFrame{.bytes = {frame.begin(), frame.end()}, .device = std::string(device)});
}

}  // namespace hlbuf
