// SPDX-License-Identifier: Apache-2.0
#include "tests/soak/soak_figures.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/soak/soak.h"

namespace hlbuf {
namespace {

int Wanted(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? static_cast<int>(std::strtol(text, nullptr, 10)) : otherwise;
}

}  // namespace

void SoakAndRecordFigures(SoakedService& service, SoakEffort effort) {
  effort.kills = Wanted("HLBUF_KILLS", effort.kills);
  effort.resets = Wanted("HLBUF_KILL_RESETS", effort.resets);
  Soak soak(service, effort.clients);
  if (soak.Run(effort.kills, effort.resets)) soak.End();
  const std::map<std::string, int> counts = soak.Judge();
  using testing::Test;
  Test::RecordProperty("soak_kills", counts.at("kills"));
  Test::RecordProperty("soak_resets", counts.at("resets"));
  Test::RecordProperty("soak_grants", counts.at("grants"));
  Test::RecordProperty("soak_lost", counts.at("lost") + counts.at("mixed") + counts.at("stale") +
                                        counts.at("double") + counts.at("leaks"));
  Test::RecordProperty("soak_errors", counts.at("errors"));
  EXPECT_GE(counts.at("kills"), effort.kills);
  EXPECT_GE(counts.at("resets"), effort.resets);
  EXPECT_GT(counts.at("reads"), 0);
}

}  // namespace hlbuf
