// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SOAK_SOAK_FIGURES_H_
#define HLBUF_TESTS_SOAK_SOAK_FIGURES_H_

#include <cstddef>

#include "tests/soak/soaked_service.h"

namespace hlbuf {

struct SoakEffort {
  std::size_t clients = 0;
  int kills = 0, resets = 0;  // unless $HLBUF_KILLS and $HLBUF_KILL_RESETS say otherwise
};

// A whole soak. What came of it are properties of the test in its XML: soak_kills, soak_resets,
// soak_grants, soak_lost (with all that was mixed up, stale, granted twice or leaked), soak_errors.
void SoakAndRecordFigures(SoakedService& service, SoakEffort effort);

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SOAK_SOAK_FIGURES_H_
