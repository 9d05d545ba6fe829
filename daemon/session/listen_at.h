// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_SESSION_LISTEN_AT_H_
#define HLBUF_DAEMON_SESSION_LISTEN_AT_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// The file that a socket was bound to. Destroyed, it is removed, unless another file stands there
// by now: whoever took the place keeps it.
class SocketFile {
 public:
  SocketFile() = default;
  // A socket was bound to `path` a moment ago.
  explicit SocketFile(std::string path);
  SocketFile(SocketFile&& other) noexcept
      : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}
  SocketFile& operator=(SocketFile&& other) noexcept;
  ~SocketFile() { Remove(); }

  void Remove();

 private:
  std::string path_;  // empty: there is none
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

struct ListeningSocket {
  UniqueFd socket;
  SocketFile file;
};

// A listening unix socket of `type` at `path`, mode and group set before anybody can connect; what
// an earlier life left at `path` is removed. Errors say what is wrong with which path.
absl::StatusOr<ListeningSocket> ListenAt(const std::string& path, int type, mode_t mode,
                                         std::optional<gid_t> group);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_SESSION_LISTEN_AT_H_
