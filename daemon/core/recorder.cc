// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/recorder.h"

namespace hlbuf {

Recorder& Recorder::None() {
  static Recorder none;
  return none;
}

}  // namespace hlbuf
