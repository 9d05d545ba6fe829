// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/peer_identity.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "daemon/base/status_macros.h"
#include "daemon/session/cgroup.h"

// Not in the C library's headers of Debian 12.
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

namespace hlbuf {
namespace {

// PID_FS_MAGIC, Linux 6.9; likewise.
constexpr decltype(statfs::f_type) kPidfsMagic = 0x50494446;

absl::StatusOr<std::vector<gid_t>> GroupsOf(int socket) {
  std::vector<gid_t> groups(64);
  socklen_t bytes = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  // ERANGE tells the size needed (socket(7)).
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) == 0) {
      groups.resize(bytes / sizeof(gid_t));
      std::sort(groups.begin(), groups.end());
      return groups;
    }
    if (errno != ERANGE) break;
    const std::size_t count = bytes / sizeof(gid_t);
    if (count > kGroupsMax)
      return absl::OutOfRangeError(absl::StrCat("its process is in ", count, " groups; those in ",
                                                kGroupsMax, " at the most are served"));
    groups.resize(count);
  }
  return absl::ErrnoToStatus(errno, "SO_PEERGROUPS");
}

// Sets `pidfd` and `vouched`.
absl::Status FindProcess(int socket, PeerIdentity& identity) {
  int fd = -1;
  socklen_t bytes = sizeof(fd);
  identity.vouched = ::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &bytes) == 0;
  if (!identity.vouched && errno == ENOPROTOOPT)
    fd = static_cast<int>(::syscall(SYS_pidfd_open, identity.peer.pid, 0));
  identity.pidfd = UniqueFd(fd);
  if (identity.pidfd) return absl::OkStatus();
  // Kernels differ in what they call a peer that was reaped.
  if (errno == ESRCH || errno == EINVAL || errno == ENODATA)
    return absl::UnavailableError("the peer has exited");
  return absl::ErrnoToStatus(errno, "pidfd of the peer");
}

bool HasExited(int pidfd) {
  pollfd p = {.fd = pidfd, .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, 0) != 0;
}

// Unique for a boot where pidfds have a file system of their own; elsewhere all of them share one
// inode.
std::uint64_t InodeOf(int pidfd) {
  struct statfs system = {};
  struct stat file = {};
  if (::fstatfs(pidfd, &system) != 0 || system.f_type != kPidfsMagic || ::fstat(pidfd, &file) != 0)
    return 0;
  return file.st_ino;
}

// All of the file: half of it could hide the container.
absl::StatusOr<std::string> ReadOf(pid_t pid, absl::string_view name) {
  const std::string path = absl::StrCat("/proc/", pid, "/", name);
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 4096> piece;
  ssize_t n = file ? 1 : -1;
  while (n > 0) {
    n = ::read(file.get(), piece.data(), piece.size());
    if (n > 0) text.append(piece.data(), static_cast<std::size_t>(n));
  }
  if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", path));
  return text;
}

}  // namespace

std::uint64_t ParseStartTicks(absl::string_view stat) {
  constexpr std::size_t kFieldsBefore = 19;  // of those behind the name: state is the first
  const std::size_t name_end = stat.rfind(')');
  if (name_end == absl::string_view::npos) return 0;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(stat.substr(name_end + 1), ' ', absl::SkipEmpty());
  std::uint64_t ticks = 0;
  if (fields.size() <= kFieldsBefore || !absl::SimpleAtoi(fields[kFieldsBefore], &ticks)) return 0;
  return ticks;
}

absl::StatusOr<PeerIdentity> IdentifyPeer(int socket) {
  ucred credentials = {};
  socklen_t bytes = sizeof(credentials);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0)
    return absl::ErrnoToStatus(errno, "SO_PEERCRED");
  PeerIdentity identity;
  identity.peer.uid = credentials.uid;
  identity.peer.gid = credentials.gid;
  identity.peer.pid = credentials.pid;
  ASSIGN_OR_RETURN(identity.peer.groups, GroupsOf(socket));
  if (credentials.pid <= 0) return identity;  // of a pid namespace that is not below ours

  RETURN_IF_ERROR(FindProcess(socket, identity));
  const absl::StatusOr<std::string> cgroup = ReadOf(credentials.pid, "cgroup");
  const absl::StatusOr<std::string> stat = ReadOf(credentials.pid, "stat");
  if (HasExited(identity.pidfd.get())) return absl::UnavailableError("the peer has exited");
  if (!cgroup.ok()) return cgroup.status();
  const CgroupPlace place = ParseCgroup(*cgroup);
  RETURN_IF_ERROR(CheckPlace(place));
  identity.peer.container = place.container;
  identity.peer.unit = place.unit;
  identity.peer.job = place.job;
  identity.peer.pidfd_inode = InodeOf(identity.pidfd.get());
  if (stat.ok()) identity.peer.start_ticks = ParseStartTicks(*stat);
  return identity;
}

}  // namespace hlbuf
