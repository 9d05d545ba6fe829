// SPDX-License-Identifier: Apache-2.0
// $HLBUF_KILLS kills (10) and $HLBUF_KILL_RESETS resets (2) of a service that 16 processes use. Its
// figures are properties in the XML: soak_kills, soak_lost, soak_errors.
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
  SoakAndRecordFigures(service, {.clients = kSoakClientsMax, .kills = 10, .resets = 2});
}

}  // namespace
}  // namespace hlbuf
