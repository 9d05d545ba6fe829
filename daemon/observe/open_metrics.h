// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_OBSERVE_OPEN_METRICS_H_
#define HLBUF_DAEMON_OBSERVE_OPEN_METRICS_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace hlbuf {

// Writes the OpenMetrics text format: each metric with what it is, then its samples.
class OpenMetrics {
 public:
  using Labels = std::initializer_list<std::pair<absl::string_view, absl::string_view>>;

  // What follows are samples of this one. `name` has no "_total"; one that ends with "_bytes" is of
  // that unit. `help` is a sentence, without anything that has to be escaped.
  void Counter(absl::string_view name, absl::string_view help);
  void Gauge(absl::string_view name, absl::string_view help);
  // Values of labels may be any text.
  void Sample(Labels labels, std::uint64_t value);

  // With the mark of its end; nothing can follow.
  std::string Finish() &&;

 private:
  void Begin(absl::string_view name, absl::string_view type, absl::string_view help);

  std::string text_;
  std::string sample_;  // name of the present samples
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_OBSERVE_OPEN_METRICS_H_
