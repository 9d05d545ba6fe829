// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/metrics_text.h"

#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace hlbuf::ctl {

std::string PrometheusText(const std::string& open_metrics) {
  std::string text;
  std::set<std::string> counters;
  for (const absl::string_view line : absl::StrSplit(open_metrics, '\n', absl::SkipEmpty())) {
    if (line == "# EOF" || absl::StartsWith(line, "# UNIT ")) continue;
    // "#", "TYPE" or "HELP", a name, the rest
    const std::vector<std::string> words = absl::StrSplit(line, absl::MaxSplits(' ', 3));
    if (words.size() == 4 && words[0] == "#") {
      if (words[1] == "TYPE" && words[3] == "counter") counters.insert(words[2]);
      absl::StrAppend(&text, "# ", words[1], " ", words[2],
                      counters.contains(words[2]) ? "_total " : " ", words[3], "\n");
    } else {
      absl::StrAppend(&text, line, "\n");
    }
  }
  return text;
}

}  // namespace hlbuf::ctl
