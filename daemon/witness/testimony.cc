// SPDX-License-Identifier: Apache-2.0
#include "daemon/witness/testimony.h"

#include <algorithm>
#include <string>

namespace hlbuf {
namespace {

// daemon/keeper/main.cc names itself so.
constexpr absl::string_view kKeeper = "hl-keeper";

bool IsOurs(const HoldingProcess& process, pid_t asked, const Asker& asker) {
  return process.pid == asked || (process.uid == asker.uid && process.command == kKeeper);
}

OutsideHolders HoldersOf(const FileHolders& file, const ScanScope& scope, const Asker& asker) {
  OutsideHolders found;
  std::uint64_t explained = std::uint64_t{file.more_descriptors} + file.more_mappings +
                            file.more_attachments + file.importers.size();
  for (const HoldingProcess& process : file.processes) {
    explained += std::uint64_t{process.descriptors} + process.mappings;
    if (IsOurs(process, scope.asker, asker)) continue;
    found.holders.push_back({.pid = process.pid,
                             .uid = process.uid,
                             .command = process.command,
                             .descriptors = process.descriptors,
                             .mappings = process.mappings});
  }
  found.holders_left_out = file.more_processes;
  found.importers = file.importers;
  found.importers_left_out = file.more_attachments;
  found.importers_known = scope.bufinfo_errno == 0;
  found.all_seen =
      scope.whole && !scope.hidden && scope.fd_unreadable == 0 && scope.maps_unreadable == 0;
  if (file.count.has_value())
    found.unexplained =
        static_cast<std::uint32_t>(*file.count - std::min<std::uint64_t>(*file.count, explained));
  return found;
}

}  // namespace

Testimony ToTestimony(const HoldersAnswer& answer, const Asker& asker) {
  Testimony testimony;
  testimony.same_pids = answer.scope.pid_namespace == asker.pid_namespace;
  for (const FileHolders& file : answer.files) {
    const BufferFile key = {.inode = file.file.inode,
                            .dmabuf = file.file.kind == HeldFile::Kind::kDmabuf};
    testimony.files[key] = HoldersOf(file, answer.scope, asker);
  }
  return testimony;
}

}  // namespace hlbuf
