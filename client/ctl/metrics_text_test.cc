// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/metrics_text.h"

#include <gtest/gtest.h>

namespace hlbuf::ctl {
namespace {

TEST(PrometheusText, DeclaresCountersByTheNameOfTheirSamples) {
  EXPECT_EQ(PrometheusText("# TYPE hlbuf_events counter\n"
                           "# HELP hlbuf_events Events by kind.\n"
                           "hlbuf_events_total{kind=\"A\"} 1\n"
                           "# EOF\n"),
            "# TYPE hlbuf_events_total counter\n"
            "# HELP hlbuf_events_total Events by kind.\n"
            "hlbuf_events_total{kind=\"A\"} 1\n");
}

TEST(PrometheusText, LeavesGaugesAloneButForTheirUnits) {
  EXPECT_EQ(PrometheusText("# TYPE hlbuf_used_bytes gauge\n"
                           "# UNIT hlbuf_used_bytes bytes\n"
                           "# HELP hlbuf_used_bytes Memory, as it is.\n"
                           "hlbuf_used_bytes{device=\"a b\"} 65536\n"
                           "# EOF\n"),
            "# TYPE hlbuf_used_bytes gauge\n"
            "# HELP hlbuf_used_bytes Memory, as it is.\n"
            "hlbuf_used_bytes{device=\"a b\"} 65536\n");
}

}  // namespace
}  // namespace hlbuf::ctl
