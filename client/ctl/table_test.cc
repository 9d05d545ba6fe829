// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/table.h"

#include <gtest/gtest.h>

namespace hlbuf::ctl {
namespace {

TEST(Table, LinesItsColumnsUp) {
  Table table({"ID", "NAME", "LEASES"});
  table.Add({"1", "weights/0", "12"});
  table.Add({"abcdef", "x", "3"});
  EXPECT_EQ(table.Text(),
            "ID      NAME       LEASES\n"
            "1       weights/0  12\n"
            "abcdef  x          3\n");
}

TEST(Table, ShowsADashForNothing) {
  Table table({"ID", "NAME"});
  table.Add({"1", ""});
  EXPECT_EQ(table.Text(), "ID  NAME\n1   -\n");
}

TEST(Table, MakesItsCellsPrintable) {
  Table table({"CLIENT", "PID"});
  table.Add({"a\nb\t", "1"});
  EXPECT_EQ(table.Text(), "CLIENT      PID\na\\x0ab\\x09  1\n");
}

TEST(Table, IsItsHeadWithoutRows) { EXPECT_EQ(Table({"ID", "NAME"}).Text(), "ID  NAME\n"); }

}  // namespace
}  // namespace hlbuf::ctl
