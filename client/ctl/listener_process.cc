// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/listener_process.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace hlbuf::ctl {
namespace {

namespace fs = std::filesystem;

// The kernel's word for a listening socket in /proc/net/unix (__SO_ACCEPTCON).
constexpr const char* kListening = "00010000";

struct Maker {
  ListenerProcess process;
  std::string address;  // as it was bound
};

std::optional<Maker> MakerOf(const std::string& path) {
  sockaddr_un address = {.sun_family = AF_UNIX};
  if (path.size() >= sizeof(address.sun_path)) return std::nullopt;
  path.copy(address.sun_path, path.size());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const absl::Cleanup close = [socket] { ::close(socket); };
  ucred peer = {};
  socklen_t size = sizeof(peer), bytes = sizeof(address);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      ::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &bytes) != 0)
    return std::nullopt;
  return Maker{.process = {.pid = peer.pid, .uid = peer.uid}, .address = address.sun_path};
}

// How /proc shows a descriptor of the socket that listens at `address`. "" when it is not listed,
// as from another network namespace.
std::string DescriptorText(const std::string& address) {
  std::ifstream sockets("/proc/net/unix");
  for (std::string line; std::getline(sockets, line);) {
    // Num RefCount Protocol Flags Type St Inode Path
    const std::vector<std::string> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (fields.size() >= 8 && fields[3] == kListening &&
        absl::EndsWith(line, absl::StrCat(" ", address)))
      return absl::StrCat("socket:[", fields[6], "]");
  }
  return "";
}

// As far as it can be read: processes come and go, and others' may not be looked at.
std::vector<fs::path> EntriesOf(const fs::path& directory) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
    entries.push_back(it->path());
  return entries;
}

bool Has(const fs::path& process, const std::string& descriptor) {
  const std::vector<fs::path> descriptors = EntriesOf(process / "fd");
  return std::any_of(descriptors.begin(), descriptors.end(), [&](const fs::path& entry) {
    std::error_code error;
    return fs::read_symlink(entry, error) == descriptor;
  });
}

// Whose the process is; nullopt when it has ended.
std::optional<uid_t> UidOf(const fs::path& process) {
  std::ifstream status(process / "status");
  for (std::string line; std::getline(status, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, '\t');
    if (uid_t uid = 0;
        fields.size() > 2 && fields[0] == "Uid:" && absl::SimpleAtoi(fields[2], &uid))
      return uid;
  }
  return std::nullopt;
}

}  // namespace

std::optional<ListenerProcess> FindListener(const std::string& path) {
  const std::optional<Maker> maker = MakerOf(path);
  if (!maker) return std::nullopt;
  const std::string descriptor = DescriptorText(maker->address);
  if (descriptor.empty()) return maker->process;
  for (const fs::path& process : EntriesOf("/proc")) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(process.filename().string(), &pid) || pid == maker->process.pid ||
        !Has(process, descriptor))
      continue;
    if (const std::optional<uid_t> uid = UidOf(process))
      return ListenerProcess{.pid = pid, .uid = *uid};
  }
  return maker->process;
}

}  // namespace hlbuf::ctl
