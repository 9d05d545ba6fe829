// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "daemon/core/error.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

TEST(Allocate, GivesALiveBufferAndItsFirstLease) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate("weights");
  const BufferRecord& buffer = *rig.Find(lease)->buffer;
  EXPECT_EQ(buffer.state, BufferState::kLive);
  EXPECT_EQ(buffer.name, "weights");
  EXPECT_EQ(buffer.leases.size(), 1u);
  EXPECT_EQ(rig.Find(lease)->state, LeaseState::kActive);
  EXPECT_EQ(rig.observer.Count(EventKind::kBufferAllocated), 1u);
}

}  // namespace
}  // namespace hlbuf
