// SPDX-License-Identifier: Apache-2.0
// $HLBUF_KILLS kills and $HLBUF_KILL_RESETS resets of a service that 16 processes use; how many
// there are without these, CMakeLists.txt says. Its figures are properties in the XML: soak_kills,
// soak_lost, soak_errors.
#include <gtest/gtest.h>

#include "tests/soak/board.h"
#include "tests/soak/soak_figures.h"
#include "tests/soak/soaked_daemon.h"

namespace hlbuf {
namespace {

class KillSoak : public DaemonTest {};

TEST_F(KillSoak, CostsNoClientAnything) {
  Start(SoakedOptions());
  SoakedDaemon service(daemon());
  SoakAndRecordFigures(
      service,
      {.clients = kSoakClientsMax, .kills = HLBUF_SOAK_KILLS, .resets = HLBUF_SOAK_RESETS});
}

}  // namespace
}  // namespace hlbuf
