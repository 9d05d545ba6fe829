// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/support/control_calls.h"
#include "tests/support/control_rig.h"

namespace hlbuf {
namespace {

using Stub = ControlRig::Stub;

TEST(ControlMetrics, AreToldToViewersAndAbove) {
  ControlRig rig;
  rig.Allocate(rig.AddSession(ControlRig::User(1000)));
  for (const Peer& peer : {ControlRig::Viewer(), ControlRig::Operator(), ControlRig::Admin()}) {
    const std::string text = Call(*rig.Ask(peer), &Stub::GetMetrics).text();
    EXPECT_NE(text.find("\nhlbuf_buffers 1\n"), std::string::npos) << text;
    EXPECT_EQ(text.substr(text.size() - 6), "# EOF\n");
  }
}

TEST(ControlMetrics, AreNothingForCallersWithoutARole) {
  ControlRig rig;
  EXPECT_EQ(Refusal(*rig.Ask(ControlRig::User(1000)), &Stub::GetMetrics), "PERMISSION_DENIED");
  Peer in_container = ControlRig::Viewer();
  in_container.container = "c1";
  EXPECT_EQ(Refusal(*rig.Ask(in_container), &Stub::GetMetrics), "PERMISSION_DENIED");
}

}  // namespace
}  // namespace hlbuf
