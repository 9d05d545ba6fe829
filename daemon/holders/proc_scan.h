// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_HOLDERS_PROC_SCAN_H_
#define HLBUF_DAEMON_HOLDERS_PROC_SCAN_H_

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/holders/answer.h"
#include "daemon/holders/question.h"

namespace hlbuf {

// Looks once through all processes, and then into debugfs, for whoever has one of `files`.
//
// A process is looked at through one descriptor of its directory, so what is said of it is of one
// process though its pid may be given to another meanwhile; one that ends is left out. What
// descriptors lead to is judged by the inode and the file system, never by the name, which anybody
// can give to a file.
class ProcScan {
 public:
  using Clock = std::chrono::steady_clock;
  ProcScan(const std::vector<HeldFile>& files, Clock::time_point deadline);

  // False: /proc cannot be read.
  bool LookAtProcesses();
  // `path` is that of the kernel's list of dma-bufs, which is read as long as there is time.
  void LookAtBufinfo(const std::string& path);
  HoldersAnswer Take() && { return std::move(answer_); }

 private:
  struct Held {
    std::uint32_t descriptors = 0;
    std::uint32_t mappings = 0;
  };
  using Place = std::pair<std::size_t, dev_t>;  // in answer_.files, and the file system
  using Found = std::map<Place, Held>;

  // Which file systems memfds and dma-bufs are of. All dma-bufs are of one, which no process shows
  // before the first that has a descriptor of one.
  void LearnMemfdDevice();
  bool IsDmabuf(int process, const std::string& fdinfo, dev_t device);

  void LookAt(int process, pid_t pid);
  // These two: 0, or the errno of what cannot be read.
  int LookAtDescriptors(int process, const std::vector<std::string>& tasks, Found& found);
  int LookAtMappings(int process, const std::vector<std::string>& tasks, Found& found);
  int LookAtTable(int process, const std::string& task, Found& found);
  void LookAtDescriptor(int process, int table, const std::string& fdinfo, const char* name,
                        Found& found);
  static void ReadCount(int process, const std::string& fdinfo, FileHolders& file);
  void Add(int process, pid_t pid, const Found& found);
  void AddUnproven();
  std::optional<std::size_t> PlaceOf(const HeldFile& file, dev_t device) const;
  bool TimeIsOver();

  const Clock::time_point deadline_;
  HoldersAnswer answer_;
  std::map<HeldFile, std::size_t> places_;
  std::optional<dev_t> dmabufs_, memfds_;
  // Mappings that were seen before dmabufs_ was known.
  std::map<Place, FileHolders> unproven_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_HOLDERS_PROC_SCAN_H_
