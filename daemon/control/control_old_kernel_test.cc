// SPDX-License-Identifier: Apache-2.0
// The control API on kernels that cannot refuse descriptors (before Linux 6.16). A program of its
// own: gRPC chooses how it polls once in the life of a process.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdlib>

#include "tests/support/control_calls.h"
#include "tests/support/control_rig.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

namespace hlbuf {
namespace {

TEST(ControlServerOnOldKernels, KeepsNoDescriptorThatAPeerSends) {
  ASSERT_EQ(::setenv("GRPC_POLL_STRATEGY", "poll", 1), 0);  // as the server does there
  ControlRig rig;
  rig.OnAccept([](int socket) {
    const int on = 1;
    static_cast<void>(::setsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof(on)));
  });
  EXPECT_EQ(DescriptorsLeftBehind(rig), 0u);
}

}  // namespace
}  // namespace hlbuf
