// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_METRICS_TEXT_H_
#define HLBUF_CLIENT_CTL_METRICS_TEXT_H_

#include <string>

namespace hlbuf::ctl {

// OpenMetrics 1.0 as the text format of Prometheus, version 0.0.4. Readers of that take
// OpenMetrics, too, but not its counters for counters: the older format declares them with their
// "_total".
std::string PrometheusText(const std::string& open_metrics);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_METRICS_TEXT_H_
