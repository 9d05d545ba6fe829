// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/holders_report.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace hlbuf::ctl {
namespace {

// daemon/keeper/main.cc names itself so.
constexpr const char* kKeeper = "hl-keeper";

// What the daemon says, by what is looked up for each of its buffers.
struct Index {
  explicit Index(const DaemonSide& daemon) {
    for (const v1::Device& device : daemon.devices.devices())
      if (device.simulated()) simulated.insert(device.name());
    for (const v1::Lease& lease : daemon.leases.leases())
      leases[lease.buffer_id()].push_back(&lease);
    for (const v1::Session& session : daemon.sessions.sessions())
      if (session.in_flight_fds() > 0) in_flight.push_back(&session);
  }

  std::set<absl::string_view> simulated;  // devices
  std::map<absl::string_view, std::vector<const v1::Lease*>> leases;
  std::vector<const v1::Session*> in_flight;
};

HeldFile FileOf(const Index& index, const v1::Buffer& buffer) {
  return {.kind = index.simulated.count(buffer.device()) > 0 ? HeldFile::Kind::kMemfd
                                                             : HeldFile::Kind::kDmabuf,
          .inode = buffer.inode()};
}

bool HasLease(const v1::BufferHolders& holders, pid_t pid) {
  return std::any_of(holders.leases().begin(), holders.leases().end(),
                     [pid](const v1::Lease& lease) { return lease.holder().pid() == pid; });
}

bool IsOurs(const DaemonSide& daemon, const HoldingProcess& process) {
  return process.pid == daemon.pid || (process.uid == daemon.uid && process.command == kKeeper);
}

void AddKnown(const Index& index, v1::BufferHolders& holders) {
  if (const auto found = index.leases.find(holders.buffer().id()); found != index.leases.end())
    for (const v1::Lease* lease : found->second) *holders.add_leases() = *lease;
  for (const v1::Session* session : index.in_flight) {
    const bool leased =
        std::any_of(holders.leases().begin(), holders.leases().end(),
                    [&](const v1::Lease& lease) { return lease.session_id() == session->id(); });
    if (leased || session->state() == v1::SESSION_STATE_PARKED) *holders.add_in_flight() = *session;
  }
}

void AddProcess(const HoldingProcess& process, bool pids_match, v1::BufferHolders& holders) {
  v1::OutsideHolder& added = *holders.add_processes();
  added.set_pid(process.pid);
  added.set_uid(process.uid);
  added.set_command(process.command);
  added.set_descriptors(process.descriptors);
  added.set_mappings(process.mappings);
  if (pids_match) added.set_has_lease(HasLease(holders, process.pid));
}

void AddSeen(const DaemonSide& daemon, const FileHolders& file, bool pids_match,
             v1::BufferHolders& holders) {
  holders.set_looked_for(true);
  std::uint64_t explained = std::uint64_t{file.more_descriptors} + file.more_mappings +
                            file.more_attachments + file.importers.size();
  for (const HoldingProcess& process : file.processes) {
    const std::uint32_t references = process.descriptors + process.mappings;
    explained += references;
    if (IsOurs(daemon, process))
      holders.set_own_references(holders.own_references() + references);
    else
      AddProcess(process, pids_match, holders);
  }
  holders.set_processes_left_out(file.more_processes);
  for (const std::string& importer : file.importers) holders.add_importers(importer);
  holders.set_importers_left_out(file.more_attachments);
  if (!file.count.has_value()) return;
  holders.set_count(*file.count);
  holders.set_unexplained(
      static_cast<std::uint32_t>(*file.count - std::min<std::uint64_t>(*file.count, explained)));
}

void AddScope(const DaemonSide& daemon, const ScanScope& seen, v1::HoldersScope& scope) {
  scope.set_processes(seen.processes);
  scope.set_fd_unreadable(seen.fd_unreadable);
  scope.set_maps_unreadable(seen.maps_unreadable);
  if (seen.bufinfo_errno != 0) scope.set_importers_failure(std::strerror(seen.bufinfo_errno));
  scope.set_cut_short(!seen.whole);
  scope.set_processes_hidden(seen.hidden);
  scope.set_other_pids(daemon.pid_namespace != seen.pid_namespace);
}

bool IsIncomplete(const v1::HoldersScope& scope) {
  return !scope.failure().empty() || scope.fd_unreadable() > 0 || scope.maps_unreadable() > 0 ||
         scope.cut_short() || scope.processes_hidden();
}

}  // namespace

std::vector<HeldFile> FilesOf(const DaemonSide& daemon) {
  const Index index(daemon);
  std::vector<HeldFile> files;
  for (const v1::Buffer& buffer : daemon.buffers.buffers())
    if (buffer.inode() != 0) files.push_back(FileOf(index, buffer));
  return files;
}

void AddLaterLeases(const v1::ListLeasesResponse& later, DaemonSide& daemon) {
  std::set<std::pair<std::string, std::string>> known;
  for (const v1::Lease& lease : daemon.leases.leases())
    known.emplace(lease.buffer_id(), lease.session_id());
  for (const v1::Lease& lease : later.leases())
    if (known.emplace(lease.buffer_id(), lease.session_id()).second)
      *daemon.leases.add_leases() = lease;
}

v1::HoldersReport MakeReport(const DaemonSide& daemon,
                             const absl::StatusOr<HoldersAnswer>& answer) {
  v1::HoldersReport report;
  std::map<HeldFile, const FileHolders*> seen;
  if (answer.ok()) {
    AddScope(daemon, answer->scope, *report.mutable_scope());
    for (const FileHolders& file : answer->files) seen[file.file] = &file;
  } else {
    report.mutable_scope()->set_failure(std::string(answer.status().message()));
  }
  const Index index(daemon);
  for (const v1::Buffer& buffer : daemon.buffers.buffers()) {
    v1::BufferHolders& holders = *report.add_buffers();
    *holders.mutable_buffer() = buffer;
    AddKnown(index, holders);
    const auto found = seen.find(FileOf(index, buffer));
    if (found != seen.end()) AddSeen(daemon, *found->second, !report.scope().other_pids(), holders);
  }
  return report;
}

bool HasStrangers(const v1::HoldersReport& report) {
  // What is unexplained can be a lessee's who could not be looked at.
  const bool whole = !IsIncomplete(report.scope());
  return std::any_of(report.buffers().begin(), report.buffers().end(),
                     [whole](const v1::BufferHolders& holders) {
                       return (whole && holders.unexplained() > 0) ||
                              std::any_of(holders.processes().begin(), holders.processes().end(),
                                          [](const v1::OutsideHolder& process) {
                                            return process.has_has_lease() && !process.has_lease();
                                          });
                     });
}

bool MayMissSomebody(const v1::HoldersReport& report) {
  return IsIncomplete(report.scope()) &&
         std::any_of(report.buffers().begin(), report.buffers().end(),
                     [](const v1::BufferHolders& holders) {
                       return holders.buffer().inode() != 0 &&
                              (!holders.has_unexplained() || holders.unexplained() > 0);
                     });
}

}  // namespace hlbuf::ctl
