// SPDX-License-Identifier: Apache-2.0
// The seam to whoever can see which processes have a buffer. That needs root, which this service is
// not.
#ifndef HLBUF_DAEMON_CORE_WITNESS_H_
#define HLBUF_DAEMON_CORE_WITNESS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"

namespace hlbuf {

// The file that a buffer is.
struct BufferFile {
  ino_t inode = 0;
  bool dmabuf = true;  // else a memfd: their inodes are counted apart
  friend bool operator==(const BufferFile&, const BufferFile&) = default;
  template <class H>
  friend H AbslHashValue(H h, const BufferFile& f) {
    return H::combine(std::move(h), f.inode, f.dmabuf);
  }
};

// A process beside the service that has a buffer.
struct OutsideHolder {
  pid_t pid = 0;
  uid_t uid = 0;
  std::string command;            // printable
  std::uint32_t descriptors = 0;  // however many its threads are; a fork has its own
  std::uint32_t mappings = 0;
  // Whether this process has a session with a lease of the buffer. nullopt: its pid is of another
  // pid namespace than sessions'.
  std::optional<bool> has_lease;
};

// Who has one buffer, the service's own processes left out.
struct OutsideHolders {
  std::vector<OutsideHolder> holders;
  std::uint32_t holders_left_out = 0;
  std::vector<std::string> importers;  // device names, one for each attachment
  std::uint32_t importers_left_out = 0;
  bool importers_known = false;  // false: debugfs could not be read
  // References of the kernel's count that nothing of this, nor the service's own copies, explains.
  // An attachment explains one, though some drivers take more. nullopt: there is no count.
  std::optional<std::uint32_t> unexplained;
  // Processes that could not be looked at, or not to the end: what is unexplained may be theirs.
  bool all_seen = true;
};

// What was found of the files that were asked for, and perhaps of others. One that is missing was
// not looked for.
struct Testimony {
  absl::flat_hash_map<BufferFile, OutsideHolders> files;
  bool same_pids = true;  // its pids are those that sessions' peers have
};

// Broker thread.
class Witness {
 public:
  using Done = absl::AnyInvocable<void(const absl::StatusOr<Testimony>&) &&>;
  virtual ~Witness() = default;
  // False: nobody can be asked, and `done` is not called. Else it is called once, later, on the
  // broker thread, after some seconds at most; it is destroyed instead if the witness ends before.
  // OutsideHolder::has_lease is not set.
  virtual bool Ask(std::vector<BufferFile> files, Done done) = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_WITNESS_H_
