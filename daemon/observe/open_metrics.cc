// SPDX-License-Identifier: Apache-2.0
#include "daemon/observe/open_metrics.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace hlbuf {

void OpenMetrics::Begin(absl::string_view name, absl::string_view type, absl::string_view help) {
  absl::StrAppend(&text_, "# TYPE ", name, " ", type, "\n");
  if (absl::EndsWith(name, "_bytes")) absl::StrAppend(&text_, "# UNIT ", name, " bytes\n");
  absl::StrAppend(&text_, "# HELP ", name, " ", help, "\n");
}

void OpenMetrics::Counter(absl::string_view name, absl::string_view help) {
  Begin(name, "counter", help);
  sample_ = absl::StrCat(name, "_total");
}

void OpenMetrics::Gauge(absl::string_view name, absl::string_view help) {
  Begin(name, "gauge", help);
  sample_ = std::string(name);
}

void OpenMetrics::Sample(Labels labels, std::uint64_t value) {
  absl::StrAppend(&text_, sample_);
  const char* before = "{";
  for (const auto& [name, label] : labels) {
    absl::StrAppend(&text_, before, name, "=\"",
                    absl::StrReplaceAll(label, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}),
                    "\"");
    before = ",";
  }
  absl::StrAppend(&text_, labels.size() > 0 ? "} " : " ", value, "\n");
}

std::string OpenMetrics::Finish() && {
  absl::StrAppend(&text_, "# EOF\n");
  return std::move(text_);
}

}  // namespace hlbuf
