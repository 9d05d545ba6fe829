// SPDX-License-Identifier: Apache-2.0
// What the files of /proc/PID say, of which processes choose parts themselves.
#ifndef HLBUF_DAEMON_HOLDERS_PROC_TEXT_H_
#define HLBUF_DAEMON_HOLDERS_PROC_TEXT_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/holders/question.h"

namespace hlbuf {

// The kind of file that a link of /proc/PID/fd, or the path in a line of /proc/PID/maps, names.
// Anybody may have a file of such a path: its file system tells.
std::optional<HeldFile::Kind> KindOfPath(std::string_view path);

// A line of /proc/PID/maps that maps a file of one of these kinds.
struct MappedFile {
  HeldFile file;
  dev_t device = 0;
};
std::optional<MappedFile> ParseMapsLine(std::string_view line);

// /proc/PID/fdinfo/N of a dma-buf. nullopt: it is of another file.
struct DmabufFdinfo {
  std::uint32_t count = 0;  // references
  std::string exporter;     // printable
};
std::optional<DmabufFdinfo> ParseFdinfo(std::string_view text);

// Of /proc/PID/stat.
struct ProcStat {
  pid_t parent = 0;
  std::uint64_t start_ticks = 0;
};
std::optional<ProcStat> ParseStat(std::string_view text);

// The effective uid, of /proc/PID/status.
std::optional<uid_t> ParseStatusUid(std::string_view text);

// Of /proc/self/status: whether it may look at every process, whatever hidepid= says.
bool HasTracing(std::string_view status);

// A line of /proc/self/mountinfo: whether it mounts /proc such that processes of others are hidden.
bool HidesProcesses(std::string_view mount);

// Of /proc/PID/comm, printable and not empty.
std::string CommandOf(std::string_view comm);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_HOLDERS_PROC_TEXT_H_
