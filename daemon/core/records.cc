// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/records.h"

namespace hlbuf {

void Unlist(std::vector<LeaseRecord*>& list, std::uint32_t LeaseRecord::*place,
            LeaseRecord& lease) {
  LeaseRecord* const last = list.back();
  list[lease.*place] = last;
  last->*place = lease.*place;
  list.pop_back();
}

}  // namespace hlbuf
