// SPDX-License-Identifier: Apache-2.0
// The crash points of tests/soak/crash_test.cc, on buffers that are dma-bufs: in one soak, since to
// start its processes takes long where they are emulated.
#include <gtest/gtest.h>

#include "tests/soak/crash.h"

namespace hlbuf {
namespace {

class CrashPointsOnUdmabuf : public DaemonTest {};

TEST_F(CrashPointsOnUdmabuf, CostNoClientAnything) {
  DaemonOptions options = SoakedOptions();
  options.kind = "udmabuf";
  Start(options);
  SoakedDaemon service(daemon());
  CrashInARowAndJudge(daemon(), service, CrashPointsOfAnyDevice());
}

}  // namespace
}  // namespace hlbuf
