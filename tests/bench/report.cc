// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/report.h"

#include <array>
#include <cstdio>
#include <fstream>

#include "tests/bench/die.h"

namespace hlbuf::bench {
namespace {

// With as many digits as mean anything.
std::string NumberText(double value) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.*f", value < 10 ? 2 : value < 1000 ? 1 : 0, value);
  return text.data();
}

std::string SpreadText(const Quartiles& value) {
  const std::string median = NumberText(value.median);
  if (value.q1 == value.q3) return median;
  return median + " [" + NumberText(value.q1) + " " + NumberText(value.q3) + "]";
}

std::string TargetText(const Target& target) {
  if (target.kind == Target::Kind::kNone) return "";
  return (target.kind == Target::Kind::kAtMost ? "<= " : ">= ") + NumberText(target.value);
}

std::string VerdictText(const Line& line) {
  const Target& target = line.pinned.target;
  if (target.kind == Target::Kind::kNone) return "";
  const bool pinned = target.Met(line.pinned.value.median);
  const bool unpinned = target.Met(line.unpinned.value.median);
  if (pinned && unpinned) return "met";
  if (!pinned && !unpinned) return "missed";
  return pinned ? "missed unpinned" : "missed pinned";
}

void PrintColumns(const std::array<std::string, 7>& columns) {
  std::printf("%-56s  %-22s %-16s  %-22s %-16s  %-8s %s\n", columns[0].c_str(), columns[1].c_str(),
              columns[2].c_str(), columns[3].c_str(), columns[4].c_str(), columns[5].c_str(),
              columns[6].c_str());
  std::fflush(stdout);
}

void WriteFigure(std::ofstream& file, const std::string& key, const Quartiles& value) {
  file << ",\n  \"" << key << "\": " << value.median << ",\n  \"" << key << "_q1\": " << value.q1
       << ",\n  \"" << key << "_q3\": " << value.q3;
}

}  // namespace

void PrintHeading(const Effort& effort) {
  std::printf(
      "Medians and quartiles of %zu rounds, floor and product by turns; p99 is product / "
      "floor.\n\n",
      effort.rounds);
  PrintColumns({"", "one core", "p99", "all cores", "p99", "target", ""});
}

void PrintLine(const Line& line) {
  PrintColumns({line.pinned.what, SpreadText(line.pinned.value), line.pinned.p99,
                SpreadText(line.unpinned.value), line.unpinned.p99, TargetText(line.pinned.target),
                VerdictText(line)});
}

void WriteJson(const std::string& path, const Effort& effort, const std::vector<Line>& lines) {
  std::ofstream file(path);
  file << "{\n  \"rounds\": " << effort.rounds;
  for (const Line& line : lines) {
    WriteFigure(file, line.pinned.key, line.pinned.value);
    WriteFigure(file, line.unpinned.key + "_unpinned", line.unpinned.value);
  }
  file << "\n}\n";
  file.close();
  if (!file) DieErrno(path);
}

}  // namespace hlbuf::bench
