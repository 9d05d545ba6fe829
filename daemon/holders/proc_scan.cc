// SPDX-License-Identifier: Apache-2.0
#include "daemon/holders/proc_scan.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <set>
#include <string_view>

#include "daemon/holders/bufinfo.h"
#include "daemon/holders/proc_files.h"
#include "daemon/holders/proc_text.h"
#include "daemon/holders/words.h"

namespace hlbuf {
namespace {

constexpr std::size_t kTablesMax = 256;  // of one process

// False: /proc itself cannot be read. `visit` gets a process's directory, or -1 where even that may
// not be opened (hidepid=1), and says false to end.
bool VisitProcesses(const std::function<bool(int process, pid_t pid)>& visit) {
  UniqueFd proc = OpenBelow(AT_FDCWD, "/proc", O_DIRECTORY);
  if (!proc) return false;
  const int below = proc.get();
  return VisitNumbers(std::move(proc), [&](const char* name) {
           const UniqueFd process = OpenBelow(below, name, O_DIRECTORY);
           const bool gone = !process && HasEnded(errno);
           const auto pid = ToNumber<pid_t>(name);
           return gone || !pid.has_value() || visit(process.get(), *pid);
         }) == 0;
}

bool ShareDescriptors(pid_t one, pid_t other) {
  // What cannot be compared is taken for the usual.
  return ::syscall(SYS_kcmp, one, other, KCMP_FILES, 0, 0) <= 0;
}

// The directories, below that of the process, of a thread for each table of descriptors: threads
// share one, unless they unshared it. The first is the process's own, which is empty when its first
// thread has ended before the others.
std::vector<std::string> TasksWithTables(int process, pid_t pid) {
  std::vector<std::string> tasks = {""};
  std::vector<pid_t> seen = {pid};
  VisitNumbers(OpenBelow(process, "task", O_DIRECTORY), [&](const char* name) {
    const pid_t thread = ToNumber<pid_t>(name).value_or(pid);
    if (std::any_of(seen.begin(), seen.end(),
                    [&](pid_t other) { return ShareDescriptors(other, thread); }))
      return true;
    seen.push_back(thread);
    tasks.push_back(std::string("task/") + name + '/');
    return seen.size() < kTablesMax;
  });
  return tasks;
}

// What this program may see, not what it did: nobody counts whom /proc hides.
bool CanHaveHidden(std::uint64_t pid_namespace) {
  constexpr std::uint64_t kFirstPidNamespace = 4026531836;  // since Linux 3.8
  if (pid_namespace != kFirstPidNamespace) return true;
  if (HasTracing(ReadSmall(AT_FDCWD, "/proc/self/status"))) return false;
  bool hides = false;
  const int error = VisitLines(AT_FDCWD, "/proc/self/mountinfo", [&hides](std::string_view line) {
    hides = hides || HidesProcesses(line);
    return !hides;
  });
  return hides || error != 0;
}

bool CannotBeRead(int error) { return error != 0 && !HasEnded(error); }

}  // namespace

ProcScan::ProcScan(const std::vector<HeldFile>& files, Clock::time_point deadline)
    : deadline_(deadline) {
  for (const HeldFile& file : files) {
    places_.emplace(file, answer_.files.size());
    answer_.files.push_back({.file = file});
  }
  struct stat here = {};
  if (::stat("/proc/self/ns/pid", &here) == 0) answer_.scope.pid_namespace = here.st_ino;
  answer_.scope.hidden = CanHaveHidden(answer_.scope.pid_namespace);
}

bool ProcScan::TimeIsOver() {
  if (Clock::now() >= deadline_) answer_.scope.whole = false;
  return !answer_.scope.whole;
}

bool ProcScan::LookAtProcesses() {
  LearnMemfdDevice();
  const bool looked = VisitProcesses([this](int process, pid_t pid) {
    LookAt(process, pid);
    return !TimeIsOver();
  });
  AddUnproven();
  return looked;
}

void ProcScan::LearnMemfdDevice() {
  const UniqueFd memfd(::memfd_create("hl-bufd-holders", MFD_CLOEXEC));
  struct stat is = {};
  if (memfd && ::fstat(memfd.get(), &is) == 0) memfds_ = is.st_dev;
}

// Only dma-bufs have an exporter in their fdinfo.
bool ProcScan::IsDmabuf(int process, const std::string& fdinfo, dev_t device) {
  if (!dmabufs_.has_value() && ParseFdinfo(ReadSmall(process, fdinfo.c_str())).has_value())
    dmabufs_ = device;
  return dmabufs_ == device;
}

void ProcScan::LookAt(int process, pid_t pid) {
  ++answer_.scope.processes;
  Found found;
  const std::vector<std::string> tasks = TasksWithTables(process, pid);
  if (CannotBeRead(LookAtDescriptors(process, tasks, found))) ++answer_.scope.fd_unreadable;
  if (CannotBeRead(LookAtMappings(process, tasks, found))) ++answer_.scope.maps_unreadable;
  if (!found.empty()) Add(process, pid, found);
}

int ProcScan::LookAtDescriptors(int process, const std::vector<std::string>& tasks, Found& found) {
  const int error = LookAtTable(process, tasks.front(), found);
  for (std::size_t i = 1; i < tasks.size() && !TimeIsOver(); ++i)
    LookAtTable(process, tasks[i], found);
  return error;
}

int ProcScan::LookAtTable(int process, const std::string& task, Found& found) {
  UniqueFd table = OpenBelow(process, (task + "fd").c_str(), O_DIRECTORY);
  if (!table) return errno;
  const int below = table.get();
  return VisitNumbers(std::move(table), [&](const char* name) {
    LookAtDescriptor(process, below, task + "fdinfo/" + name, name, found);
    return !TimeIsOver();
  });
}

void ProcScan::LookAtDescriptor(int process, int table, const std::string& fdinfo, const char* name,
                                Found& found) {
  const auto kind = KindOfPath(ReadLink(table, name));
  struct stat is = {};
  if (!kind.has_value() || ::fstatat(table, name, &is, 0) != 0) return;
  const bool dmabufs_asked =
      !places_.empty() && places_.begin()->first.kind == HeldFile::Kind::kDmabuf;
  if (*kind == HeldFile::Kind::kDmabuf && !(dmabufs_asked && IsDmabuf(process, fdinfo, is.st_dev)))
    return;
  const auto place = PlaceOf({.kind = *kind, .inode = is.st_ino}, is.st_dev);
  if (!place.has_value()) return;
  ++found[{*place, is.st_dev}].descriptors;
  if (*kind == HeldFile::Kind::kDmabuf) ReadCount(process, fdinfo, answer_.files[*place]);
}

void ProcScan::ReadCount(int process, const std::string& fdinfo, FileHolders& file) {
  if (file.count.has_value()) return;
  const auto read = ParseFdinfo(ReadSmall(process, fdinfo.c_str()));
  if (!read.has_value()) return;
  file.count = read->count;
  file.exporter = read->exporter;
}

// Threads share all of it. Where the first has ended, another shows it.
int ProcScan::LookAtMappings(int process, const std::vector<std::string>& tasks, Found& found) {
  bool any = false;
  const auto look = [&](std::string_view line) {
    any = true;
    const auto mapped = ParseMapsLine(line);
    const auto place = mapped ? PlaceOf(mapped->file, mapped->device) : std::nullopt;
    if (place.has_value()) ++found[{*place, mapped->device}].mappings;
    return !TimeIsOver();
  };
  const int error = VisitLines(process, "maps", look);
  if (!any && tasks.size() > 1) VisitLines(process, (tasks[1] + "maps").c_str(), look);
  return error;
}

// Where nobody was seen to have a descriptor of any dma-buf their file system is not known, but it
// has no device.
std::optional<std::size_t> ProcScan::PlaceOf(const HeldFile& file, dev_t device) const {
  const std::optional<dev_t>& of_kind = file.kind == HeldFile::Kind::kDmabuf ? dmabufs_ : memfds_;
  if (of_kind.has_value() ? device != *of_kind : ::major(device) != 0) return std::nullopt;
  const auto place = places_.find(file);
  return place == places_.end() ? std::nullopt : std::optional(place->second);
}

void ProcScan::Add(int process, pid_t pid, const Found& found) {
  const auto stat = ParseStat(ReadSmall(process, "stat"));
  const auto uid = ParseStatusUid(ReadSmall(process, "status"));
  if (!stat.has_value() || !uid.has_value()) return;  // it has ended
  const std::string command = CommandOf(ReadSmall(process, "comm"));
  for (const auto& [place, held] : found) {
    FileHolders& file = answer_.files[place.first];
    const bool proven = file.file.kind != HeldFile::Kind::kDmabuf || dmabufs_.has_value();
    AddProcess(proven ? file : unproven_[place], {.pid = pid,
                                                  .parent = stat->parent,
                                                  .uid = *uid,
                                                  .start_ticks = stat->start_ticks,
                                                  .descriptors = held.descriptors,
                                                  .mappings = held.mappings,
                                                  .command = command});
  }
}

void ProcScan::AddUnproven() {
  for (auto& [place, seen] : unproven_) {
    if (dmabufs_.value_or(place.second) != place.second) continue;
    FileHolders& file = answer_.files[place.first];
    for (HoldingProcess& process : seen.processes) AddProcess(file, std::move(process));
    file.more_processes += seen.more_processes;
    file.more_mappings += seen.more_mappings;
  }
}

void ProcScan::LookAtBufinfo(const std::string& path) {
  std::set<std::uint64_t> wanted;
  for (const FileHolders& file : answer_.files)
    if (file.file.kind == HeldFile::Kind::kDmabuf) wanted.insert(file.file.inode);
  BufinfoReader reader(std::move(wanted));
  bool late = false;
  const int error = VisitLines(AT_FDCWD, path.c_str(), [&](std::string_view line) {
    late = Clock::now() >= deadline_;
    if (!late) reader.Read(line);
    return !late;
  });
  answer_.scope.bufinfo_errno = late ? ETIMEDOUT : error;
  if (answer_.scope.bufinfo_errno != 0) return;
  std::map<std::uint64_t, BufinfoEntry>& objects = reader.objects();
  for (FileHolders& file : answer_.files) {
    const auto object = objects.find(file.file.inode);
    if (file.file.kind != HeldFile::Kind::kDmabuf || object == objects.end()) continue;
    file.count = object->second.count;
    file.exporter = object->second.exporter;
    for (std::string& importer : object->second.attached) AddImporter(file, std::move(importer));
  }
}

}  // namespace hlbuf
