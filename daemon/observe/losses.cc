// SPDX-License-Identifier: Apache-2.0
#include "daemon/observe/losses.h"

#include <algorithm>

namespace hlbuf {

std::vector<Loss> Losses::All() const {
  std::vector<Loss> all;
  for (const auto& [kind, loss] : losses_) all.push_back(loss);
  return all;
}

void Losses::OnEvent(const NumberedEvent& numbered) {
  if (!IsLoss(numbered.event.kind)) return;
  Loss& loss = losses_[numbered.event.kind];
  loss.kind = numbered.event.kind;
  loss.count += std::max<std::uint64_t>(numbered.event.count, 1);
  if (loss.told.size() == Loss::kToldMax) loss.told.erase(loss.told.begin());
  loss.told.push_back({.sequence = numbered.sequence, .event = numbered.event});
}

}  // namespace hlbuf
