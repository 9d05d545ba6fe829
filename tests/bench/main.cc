// SPDX-License-Identifier: Apache-2.0
// hl-bench: compares hl-bufd with the bare system calls of what it does. tests/bench/run.sh builds
// and calls it.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <array>
#include <set>

#include "tests/bench/cores.h"
#include "tests/bench/die.h"
#include "tests/bench/report.h"
#include "tests/bench/rows.h"

namespace hlbuf::bench {
namespace {

struct Row {
  const char* name;
  std::vector<Figure> (*measure)(const Setting&);
};

constexpr std::array<Row, 7> kRows = {{
    {"open", MeasureOpen},
    {"batch", MeasureBatch},
    {"allocate", MeasureAllocate},
    {"sessions", MeasureSessions},
    {"buffers", MeasureBuffers},
    {"core", MeasureCore},
    {"revoke", MeasureRevoke},
}};

std::vector<std::string> RowNames() {
  std::vector<std::string> names;
  for (const Row& row : kRows) names.emplace_back(row.name);
  return names;
}

// Floors and daemons need as many as this process may have; children inherit it.
void RaiseDescriptorLimit() {
  rlimit files = {};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &files) != 0) DieErrno("RLIMIT_NOFILE");
}

std::vector<Line> Measure(const Row& row, const Setting& setting) {
  RunOn(Cores::kOne);
  const std::vector<Figure> pinned = row.measure(setting);
  RunOn(Cores::kAll);
  const std::vector<Figure> unpinned = row.measure(setting);
  std::vector<Line> lines;
  for (std::size_t i = 0; i < pinned.size(); ++i) lines.push_back({pinned[i], unpinned[i]});
  return lines;
}

void MeasureAll(const std::set<std::string>& wanted, const Setting& setting,
                const std::string& json) {
  std::vector<Line> all;
  PrintHeading(setting.effort);
  for (const Row& row : kRows) {
    if (!wanted.empty() && !wanted.contains(row.name)) continue;
    for (const Line& line : Measure(row, setting)) {
      PrintLine(line);
      all.push_back(line);
    }
  }
  if (!json.empty()) WriteJson(json, setting.effort, all);
}

}  // namespace
}  // namespace hlbuf::bench

int main(int argc, char** argv) {
  using hlbuf::bench::RowNames;
  CLI::App app("Compares hl-bufd with the bare system calls of what it does.", "hl-bench");
  hlbuf::bench::Setting setting;
  std::vector<std::string> rows;
  std::string json;
  std::string programs;
  bool quick = false;
  app.add_option("--json", json, "file for the figures, as one flat object");
  app.add_option("--rows", rows, "only these, separated by commas")
      ->delimiter(',')
      ->check(CLI::IsMember(RowNames()));
  app.add_flag("--quick", quick, "fewer rounds: shows that it runs, not how fast");
  app.add_option("--daemon", setting.paths.daemon, "hl-bufd")->required();
  app.add_option("--programs", programs, "directory of the programs beside this one")->required();
  app.add_option("--scratch", setting.paths.scratch, "an empty directory with a short name")
      ->required();
  CLI11_PARSE(app, argc, argv);
  setting.paths.floor = programs + "/hl-bench-floor";
  setting.paths.holders = programs + "/hl-bench-holders";
  if (quick) setting.effort = {.rounds = 5, .samples = 256};
  hlbuf::bench::RaiseDescriptorLimit();
  hlbuf::bench::MeasureAll({rows.begin(), rows.end()}, setting, json);
}
