// SPDX-License-Identifier: Apache-2.0
// hl-bufctl journal, beside a service that writes its journal.
#include <gtest/gtest.h>

#include <string>

#include "tests/support/ctl_test.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

TEST_F(CtlTest, FindsTheJournalOfWhoServes) {
  Start({.supervised = true});
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes, "weights");
  const Finished verified = Run({"journal", "verify"});
  EXPECT_EQ(verified.exit_status, kOk) << verified.output;
  EXPECT_TRUE(Contains(verified.output, ", this one\n"));
  EXPECT_TRUE(Contains(verified.output, " 1 buffers, 1 leases, "));
  EXPECT_TRUE(Contains(verified.output, "Consistent: yes\n"));
  const Finished dumped = Run({"journal", "dump"});
  EXPECT_EQ(dumped.exit_status, kOk) << dumped.output;
  EXPECT_TRUE(Contains(dumped.output, IdText(made.id) + "  weights"));
  alice.Release(made);
  daemon().ExpectNothingInUse();
  EXPECT_FALSE(Contains(Run({"journal", "dump"}).output, "weights"));
}

TEST_F(CtlTest, SaysThatAServiceHasNoJournal) {
  Start({});
  const Finished dumped = Run({"journal", "dump"});
  EXPECT_EQ(dumped.exit_status, kFailed);
  EXPECT_TRUE(Contains(dumped.output, "hl-bufctl: process "));
  EXPECT_TRUE(Contains(dumped.output, " has no journal: "));
}

}  // namespace
}  // namespace hlbuf
