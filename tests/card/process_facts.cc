// SPDX-License-Identifier: Apache-2.0
#include "tests/card/process_facts.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace hlbuf {

std::vector<ChildFacts> ChildrenOf(pid_t pid) {
  std::vector<ChildFacts> children;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", gone)) {
    std::string line;
    std::getline(std::ifstream(entry.path() / "stat"), line);
    // "PID (NAME) STATE PARENT ...", and a name may have parentheses.
    const std::size_t end = line.rfind(')');
    if (end == std::string::npos) continue;
    std::istringstream rest(line.substr(end + 1));
    char state = 0;
    pid_t parent = 0;
    if (!(rest >> state >> parent) || parent != pid) continue;
    std::error_code zombie;
    children.push_back(
        {.program = std::filesystem::read_symlink(entry.path() / "exe", zombie).filename()});
  }
  return children;
}

std::uint64_t AnonymousBytesOf(pid_t pid) {
  std::ifstream rollup(absl::StrCat("/proc/", pid, "/smaps_rollup"));
  for (std::string line; std::getline(rollup, line);) {
    std::istringstream words(line);
    std::string key;
    std::uint64_t kib = 0;
    if (words >> key >> kib && key == "Anonymous:") return kib * 1024;
  }
  return 0;
}

}  // namespace hlbuf
