// SPDX-License-Identifier: Apache-2.0
#include "daemon/holders/answer.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "daemon/holders/holders_wire.h"
#include "daemon/holders/words.h"

namespace hlbuf {
namespace {

constexpr std::string_view kHead = "hl-bufd-holders 1";
// WHOLE.
constexpr std::uint32_t kWhole = 1;
constexpr std::uint32_t kHidden = 2;
static_assert(HLBUF_HOLDERS_VERSION == 1);
constexpr std::size_t kNameBytesMax = 255;

bool IsPrintable(char c) { return c >= ' ' && c <= '~'; }

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax &&
         std::all_of(text.begin(), text.end(), IsPrintable);
}

template <class... T>
std::string Line(std::string_view word, const T&... numbers) {
  std::string line(word);
  ((line += ' ' + std::to_string(numbers)), ...);
  return line;
}

void CutProcesses(FileHolders& file, std::size_t room) {
  while (file.processes.size() > room) {
    const HoldingProcess last = std::move(file.processes.back());
    file.processes.pop_back();
    ++file.more_processes;
    file.more_descriptors += last.descriptors;
    file.more_mappings += last.mappings;
  }
}

void CutImporters(FileHolders& file, std::size_t room) {
  if (file.importers.size() <= room) return;
  file.more_attachments += static_cast<std::uint32_t>(file.importers.size() - room);
  file.importers.resize(room);
}

std::string FormatFile(const FileHolders& file) {
  std::string text = "file " + FileText(file.file) + ' ' +
                     (file.count.has_value() ? std::to_string(*file.count) : "-") + ' ' +
                     (file.exporter.empty() ? "-" : file.exporter) + '\n';
  for (const HoldingProcess& process : file.processes)
    text += Line("process", process.pid, process.parent, process.uid, process.start_ticks,
                 process.descriptors, process.mappings) +
            ' ' + process.command + '\n';
  for (const std::string& importer : file.importers) text += "importer " + importer + '\n';
  if (file.more_processes > 0 || file.more_attachments > 0)
    text += Line("more", file.more_processes, file.more_descriptors, file.more_mappings,
                 file.more_attachments) +
            '\n';
  return text;
}

bool ParseScan(std::string_view line, ScanScope& scope) {
  std::uint32_t whole = 0;
  const bool read = TakePrefix(line, "scan ") && TakeNumber(line, scope.processes) &&
                    TakeNumber(line, scope.fd_unreadable) &&
                    TakeNumber(line, scope.maps_unreadable) &&
                    TakeNumber(line, scope.bufinfo_errno) && TakeNumber(line, whole) &&
                    TakeNumber(line, scope.pid_namespace) && TakeNumber(line, scope.asker);
  scope.whole = (whole & kWhole) != 0;
  scope.hidden = (whole & kHidden) != 0;
  return read && line.empty() && whole <= (kWhole | kHidden);
}

bool ParseFileLine(std::string_view line, FileHolders& file) {
  const std::string_view kind = TakeUntil(line, ' ');
  const std::string_view inode = TakeUntil(line, ' ');
  const auto parsed = ParseFile(std::string(kind) + ' ' + std::string(inode));
  const std::string_view count = TakeUntil(line, ' ');
  if (!parsed.has_value() || !IsName(line)) return false;
  file.file = *parsed;
  if (count != "-") {
    file.count = ToNumber<std::uint32_t>(count);
    if (!file.count.has_value()) return false;
  }
  if (line != "-") file.exporter = line;
  return true;
}

bool ParseProcess(std::string_view line, FileHolders& file) {
  HoldingProcess process;
  if (!TakeNumber(line, process.pid) || !TakeNumber(line, process.parent) ||
      !TakeNumber(line, process.uid) || !TakeNumber(line, process.start_ticks) ||
      !TakeNumber(line, process.descriptors) || !TakeNumber(line, process.mappings))
    return false;
  if (!IsName(line) || file.processes.size() == HLBUF_HOLDERS_PROCESSES_MAX) return false;
  process.command = line;
  file.processes.push_back(std::move(process));
  return true;
}

bool ParseImporter(std::string_view line, FileHolders& file) {
  if (!IsName(line) || file.importers.size() == HLBUF_HOLDERS_IMPORTERS_MAX) return false;
  file.importers.emplace_back(line);
  return true;
}

bool ParseMore(std::string_view line, FileHolders& file) {
  return TakeNumber(line, file.more_processes) && TakeNumber(line, file.more_descriptors) &&
         TakeNumber(line, file.more_mappings) && TakeNumber(line, file.more_attachments) &&
         line.empty();
}

bool ParseLine(std::string_view line, std::vector<FileHolders>& files) {
  if (TakePrefix(line, "file "))
    return files.size() < HLBUF_HOLDERS_FILES_MAX && ParseFileLine(line, files.emplace_back());
  if (files.empty()) return false;
  if (TakePrefix(line, "process ")) return ParseProcess(line, files.back());
  if (TakePrefix(line, "importer ")) return ParseImporter(line, files.back());
  return TakePrefix(line, "more ") && ParseMore(line, files.back());
}

}  // namespace

std::string EscapedText(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string escaped;
  for (const char c : text) {
    if (IsPrintable(c) && c != '\\') {
      escaped += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    escaped += "\\x";
    escaped += kDigits[byte >> 4];
    escaped += kDigits[byte & 15];
  }
  return escaped;
}

void AddProcess(FileHolders& file, HoldingProcess process) {
  file.processes.push_back(std::move(process));
  CutProcesses(file, HLBUF_HOLDERS_PROCESSES_MAX);
}

void AddImporter(FileHolders& file, std::string name) {
  file.importers.push_back(std::move(name));
  CutImporters(file, HLBUF_HOLDERS_IMPORTERS_MAX);
}

std::string FormatAnswer(HoldersAnswer answer) {
  const ScanScope& scope = answer.scope;
  std::string text(kHead);
  text += '\n' +
          Line("scan", scope.processes, scope.fd_unreadable, scope.maps_unreadable,
               scope.bufinfo_errno, (scope.whole ? kWhole : 0) | (scope.hidden ? kHidden : 0),
               scope.pid_namespace, scope.asker) +
          '\n';
  std::size_t room = HLBUF_HOLDERS_HOLDERS_MAX;
  for (FileHolders& file : answer.files) {
    CutProcesses(file, room);
    room -= file.processes.size();
    CutImporters(file, room);
    room -= file.importers.size();
    text += FormatFile(file);
  }
  return text + "end\n";
}

std::optional<HoldersAnswer> ParseAnswer(std::string_view text) {
  if (text.size() > HLBUF_HOLDERS_ANSWER_BYTES_MAX || !text.ends_with('\n')) return std::nullopt;
  if (TakeUntil(text, '\n') != kHead) return std::nullopt;
  HoldersAnswer answer;
  if (!ParseScan(TakeUntil(text, '\n'), answer.scope)) return std::nullopt;
  while (!text.empty()) {
    const std::string_view line = TakeUntil(text, '\n');
    if (line == "end") return text.empty() ? std::optional(std::move(answer)) : std::nullopt;
    if (!ParseLine(line, answer.files)) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace hlbuf
