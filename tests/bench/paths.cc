// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/paths.h"

namespace hlbuf::bench {

std::string Paths::Fresh(const std::string& ending) const {
  static int last = 0;
  return scratch + "/" + std::to_string(++last) + ending;
}

}  // namespace hlbuf::bench
