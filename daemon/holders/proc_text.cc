// SPDX-License-Identifier: Apache-2.0
#include "daemon/holders/proc_text.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <cstddef>

#include "daemon/holders/answer.h"
#include "daemon/holders/words.h"

namespace hlbuf {
namespace {

// The rest of the first line that begins with `label`. The kernel writes its own lines before those
// that have a name in them, which somebody chose.
std::optional<std::string_view> FirstLine(std::string_view text, std::string_view label) {
  while (!text.empty()) {
    std::string_view line = TakeUntil(text, '\n');
    if (TakePrefix(line, label)) return line;
  }
  return std::nullopt;
}

}  // namespace

std::optional<HeldFile::Kind> KindOfPath(std::string_view path) {
  if (path.starts_with("/dmabuf:")) return HeldFile::Kind::kDmabuf;
  if (path.starts_with("/memfd:")) return HeldFile::Kind::kMemfd;
  return std::nullopt;
}

// 7f1c-7f1d rw-s 00000000 00:0c 4711    /dmabuf:name
std::optional<MappedFile> ParseMapsLine(std::string_view line) {
  for (int skipped = 0; skipped < 3; ++skipped) TakeUntil(line, ' ');
  const auto major_number = ToNumber<unsigned>(TakeUntil(line, ':'), 16);
  const auto minor_number = ToNumber<unsigned>(TakeUntil(line, ' '), 16);
  const auto inode = ToNumber<std::uint64_t>(TakeUntil(line, ' '));
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const auto kind = KindOfPath(line);
  if (!major_number || !minor_number || !inode || !kind) return std::nullopt;
  return MappedFile{.file = {.kind = *kind, .inode = *inode},
                    .device = makedev(*major_number, *minor_number)};
}

std::optional<DmabufFdinfo> ParseFdinfo(std::string_view text) {
  const auto count = FirstLine(text, "count:\t");
  const auto exporter = FirstLine(text, "exp_name:\t");
  if (!count.has_value() || !exporter.has_value()) return std::nullopt;
  const auto references = ToNumber<std::uint32_t>(*count);
  if (!references.has_value()) return std::nullopt;
  return DmabufFdinfo{.count = *references, .exporter = EscapedText(*exporter)};
}

// PID (COMM) STATE PPID ...: COMM may have parentheses and blanks of its own.
std::optional<ProcStat> ParseStat(std::string_view text) {
  const std::size_t end = text.rfind(')');
  if (end == std::string_view::npos) return std::nullopt;
  text.remove_prefix(end);
  if (!TakePrefix(text, ") ")) return std::nullopt;
  TakeUntil(text, ' ');
  ProcStat stat;
  if (!TakeNumber(text, stat.parent)) return std::nullopt;
  constexpr int kBetween = 17;  // fields 5 to 21; the start is the 22nd
  for (int skipped = 0; skipped < kBetween; ++skipped) TakeUntil(text, ' ');
  if (!TakeNumber(text, stat.start_ticks)) return std::nullopt;
  return stat;
}

std::optional<uid_t> ParseStatusUid(std::string_view text) {
  auto uids = FirstLine(text, "Uid:\t");
  if (!uids.has_value()) return std::nullopt;
  TakeUntil(*uids, '\t');
  return ToNumber<uid_t>(TakeUntil(*uids, '\t'));
}

bool HasTracing(std::string_view status) {
  constexpr int kSysPtrace = 19;  // CAP_SYS_PTRACE
  const auto effective = FirstLine(status, "CapEff:\t");
  const auto mask = effective ? ToNumber<std::uint64_t>(*effective, 16) : std::nullopt;
  return mask.has_value() && (*mask >> kSysPtrace & 1) != 0;
}

// ID PARENT DEVICE ROOT PLACE OPTIONS ... - proc SOURCE OPTIONS
bool HidesProcesses(std::string_view mount) {
  for (int before = 0; before < 4; ++before) TakeUntil(mount, ' ');
  if (TakeUntil(mount, ' ') != "/proc") return false;
  const std::size_t option = mount.find("hidepid=");
  if (option == std::string_view::npos) return false;
  mount.remove_prefix(option);
  return !mount.starts_with("hidepid=0") && !mount.starts_with("hidepid=off");
}

std::string CommandOf(std::string_view comm) {
  if (comm.ends_with('\n')) comm.remove_suffix(1);
  return comm.empty() ? "-" : EscapedText(comm);
}

}  // namespace hlbuf
