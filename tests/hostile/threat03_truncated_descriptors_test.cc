// SPDX-License-Identifier: Apache-2.0
// A receiver without room for what is sent to it: the kernel cuts the list of descriptors short and
// delivers the rest.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/hostile/let_through.h"
#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

class TruncatedDescriptors : public DaemonTest {};

TEST_F(TruncatedDescriptors, AreAFailedGrantThatLeavesNoLeaseAndNoDescriptor) {
  constexpr int kFree = 5;
  constexpr int kWanted = 20;
  Use();
  LibraryClient client(Alice(), daemon().client_socket());
  ControlClient control(daemon().control_socket());
  const HeldBuffer made = client.Allocate(4096);
  const std::uint64_t before = client.process().Must("count").Number();
  client.process().Must(absl::StrCat("leave-descriptors ", kFree));
  std::string step = "library-open-many";
  for (int i = 0; i < kWanted; ++i) absl::StrAppend(&step, " ", made.id);
  const Reply refused = client.process().Do(step);
  EXPECT_FALSE(refused.ok);
  EXPECT_TRUE(StartsWith(refused.Text(), "NO_DESCRIPTORS"));
  EXPECT_TRUE(Contains(refused.Text(), "RLIMIT_NOFILE"));
  EXPECT_EQ(client.process().Must("count").Number(), before);
  EXPECT_TRUE(Eventually([&] { return control.Find(made.id)->lease_count == 1; }));
  const HeldBuffer again = client.Open(made.id);
  EXPECT_EQ(again.id, made.id) << "the session goes on";
}

// The daemon has no free descriptor, and is sent some.
TEST_F(TruncatedDescriptors, OfTheDaemonEndTheSessionAndLeaveNothing) {
  Start();
  if (const int error = LetDescriptorsThrough(daemon()); error != 0)
    // A container without CAP_SYS_PTRACE may not reach into another process.
    GTEST_SKIP() << "cannot let descriptors through: " << std::strerror(error);
  RawClient client = Greeted();
  RawClient other = Greeted();
  rlimit before = {};
  ASSERT_EQ(::prlimit(daemon().pid(), RLIMIT_NOFILE, nullptr, &before), 0);
  const rlimit none = {.rlim_cur = 3, .rlim_max = before.rlim_max};
  ASSERT_EQ(::prlimit(daemon().pid(), RLIMIT_NOFILE, &none, nullptr), 0);
  ASSERT_EQ(client.Send(DevicesFrame(2), std::vector<int>(20, STDERR_FILENO)), 0);
  EXPECT_EQ(client.DrainToEnd(), HLBUF_WIRE_GOODBYE);
  EXPECT_EQ(other.Ask(DevicesFrame(2))->opcode(), HLBUF_WIRE_DEVICE_LIST);
  ASSERT_EQ(::prlimit(daemon().pid(), RLIMIT_NOFILE, &before, nullptr), 0);
}

}  // namespace
}  // namespace hlbuf
