// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_HOLDERS_ANSWER_H_
#define HLBUF_DAEMON_HOLDERS_ANSWER_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/holders/question.h"

namespace hlbuf {

struct HoldingProcess {
  pid_t pid = 0;
  pid_t parent = 0;
  uid_t uid = 0;
  std::uint64_t start_ticks = 0;
  std::uint32_t descriptors = 0;
  std::uint32_t mappings = 0;
  std::string command;  // printable
};

// What was found of one file.
struct FileHolders {
  HeldFile file;
  std::optional<std::uint32_t> count;  // of references, as the kernel counts
  std::string exporter;                // printable; empty: not seen
  std::vector<HoldingProcess> processes;
  std::vector<std::string> importers;  // names of devices, printable
  // Beside those.
  std::uint32_t more_processes = 0;
  std::uint32_t more_descriptors = 0;
  std::uint32_t more_mappings = 0;
  std::uint32_t more_attachments = 0;
};

// What could be looked at. Nobody found is nobody there only where it was all.
struct ScanScope {
  std::uint32_t processes = 0;
  std::uint32_t fd_unreadable = 0;    // of these many processes the descriptors
  std::uint32_t maps_unreadable = 0;  // and the mappings
  int bufinfo_errno = 0;
  bool whole = true;  // false: time was over before all had been looked at
  // There can be processes that /proc did not show: it is that of another pid namespace than the
  // first, or mounted with hidepid= against whoever looked.
  bool hidden = false;
  std::uint64_t pid_namespace = 0;
  pid_t asker = 0;  // 0: not known
};

struct HoldersAnswer {
  ScanScope scope;
  std::vector<FileHolders> files;
};

// Counts it as `more` where there are enough already.
void AddProcess(FileHolders& file, HoldingProcess process);
void AddImporter(FileHolders& file, std::string name);

// As holders_wire.h has it; what all files have together beyond its limit is counted as `more`.
std::string FormatAnswer(HoldersAnswer answer);
// nullopt: it is none, or not all of one.
std::optional<HoldersAnswer> ParseAnswer(std::string_view text);

// Everything but printable ASCII, and the backslash, as \xNN.
std::string EscapedText(std::string_view text);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_HOLDERS_ANSWER_H_
