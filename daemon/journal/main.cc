// SPDX-License-Identifier: Apache-2.0
// hl-bufd-journal: see --help below, and "A restart" in daemon/DESIGN.md.
#include <errno.h>
#include <sys/types.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/journal/journal_json.h"
#include "daemon/journal/journal_look.h"
#include "daemon/journal/journal_source.h"
#include "daemon/journal/journal_text.h"
#include "daemon/journal/text_table.h"

namespace hlbuf {
namespace {

constexpr const char* kHelp =
    "usage: hl-bufd-journal dump|verify [--output table|json] FILE|PID\n"
    "\n"
    "Shows what hl-bufd has written down for its next life; people run hl-bufctl journal. Only\n"
    "reads, also while the service writes. PID: of a service, in whose descriptors its journal is\n"
    "found; a file whose name is a number is ./NUMBER. Takes root, or the user of the service.\n"
    "\n"
    "  --help     this text\n"
    "  --version  the version\n"
    "\n"
    "Exit status: 0 it is good, 1 it is not, or cannot be read, 2 bad usage\n";

enum Exit { kGood = 0, kFailed = 1, kBadUsage = 2 };  // hl-bufctl's

struct Asked {
  bool dump = false;
  bool json = false;
  std::string where;
};

int Complain(const std::string& text) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, Printable(text).c_str());
  return kFailed;
}

int Print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0)
    return kGood;
  return Complain("cannot write the output");
}

absl::StatusOr<std::string> PathOf(const std::string& where) {
  const bool number = std::all_of(where.begin(), where.end(), ::isdigit);
  pid_t pid = 0;
  if (!number) return where;
  if (!absl::SimpleAtoi(where, &pid) || pid <= 0)
    return absl::NotFoundError(absl::StrCat("there is no process ", where));
  return FindJournalOf(pid);
}

std::string ThisBoot() {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  return id;
}

int Show(const Asked& asked, const JournalLook& look, const std::string& path) {
  if (asked.dump && !look.consistent.ok())
    return Complain(absl::StrCat(path, ": ", look.consistent.message(),
                                 look.changing ? "; the service wrote all the time: ask again"
                                               : "; `journal verify` tells what is left of it"));
  if (asked.dump) return Print(asked.json ? DumpJson(look) : DumpText(look));
  const int printed =
      Print(asked.json ? VerifyJson(look, ThisBoot()) : VerifyText(look, ThisBoot()));
  return look.consistent.ok() ? printed : kFailed;
}

int Answer(const Asked& asked) {
  const absl::StatusOr<std::string> path = PathOf(asked.where);
  if (!path.ok()) return Complain(std::string(path.status().message()));
  const absl::StatusOr<UniqueFd> file = OpenJournal(*path);
  if (!file.ok()) return Complain(std::string(file.status().message()));
  const absl::StatusOr<JournalLook> look = LookInto(*file);
  if (!look.ok()) return Complain(absl::StrCat(*path, ": ", look.status().message()));
  return Show(asked, *look, *path);
}

// False: it makes no sense.
bool ReadArguments(const std::vector<std::string>& words, Asked& asked) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] != "--output") {
      names.push_back(words[i]);
      continue;
    }
    if (++i == words.size() || (words[i] != "table" && words[i] != "json")) return false;
    asked.json = words[i] == "json";
  }
  if (names.size() != 2 || names[1].empty() || names[1].front() == '-') return false;
  asked.dump = names[0] == "dump";
  asked.where = names[1];
  return asked.dump || names[0] == "verify";
}

int Main(const std::vector<std::string>& words) {
  if (words.size() == 1 && words[0] == "--help") return Print(kHelp);
  if (words.size() == 1 && words[0] == "--version") return Print(HLBUF_VERSION "\n");
  Asked asked;
  if (ReadArguments(words, asked)) return Answer(asked);
  std::fputs(kHelp, stderr);
  return kBadUsage;
}

}  // namespace
}  // namespace hlbuf

int main(int argc, char** argv) { return hlbuf::Main({argv + 1, argv + argc}); }
