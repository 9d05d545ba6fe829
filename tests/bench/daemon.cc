// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

#include "tests/bench/die.h"
#include "tests/bench/product.h"

namespace hlbuf::bench {
namespace {

// Limits that no row reaches, out of 20,000 descriptors. Idle sessions do not read, so they are
// not asked whether they live.
std::string ConfigText(const std::string& client_socket, const std::string& control_socket) {
  std::string text = "[sockets]\nclient = \"" + client_socket + "\"\ncontrol = \"" +
                     control_socket + "\"\n[timing]\nping_interval = \"1h\"\n" +
                     "[log]\nlevel = \"warning\"\n";
  for (const char* scope : {"service", "uid", "domain"})
    text += std::string("[limits.") + scope + "]\nbuffers = 17000\nsessions = 1200\n" +
            "leases = 60000\nin_flight_fds = 5000\n";
  return text;
}

UniqueFd Bind(const std::string& path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof(address.sun_path)) Die(path + " is too long for a socket");
  std::memcpy(address.sun_path, path.data(), path.size());
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    DieErrno(path);
  return socket;
}

// As systemd would: until READY=1.
void AwaitReady(int notifications, const Child& child) {
  constexpr int kPatienceMs = 30'000;
  std::array<char, 4096> text;
  for (;;) {
    std::array<pollfd, 2> fds = {{{.fd = notifications, .events = POLLIN, .revents = 0},
                                  {.fd = child.pidfd(), .events = POLLIN, .revents = 0}}};
    if (::poll(fds.data(), fds.size(), kPatienceMs) == 0 || fds[1].revents != 0)
      Die("the daemon did not start:\n" + child.Log());
    const ssize_t n = ::recv(notifications, text.data(), text.size(), MSG_DONTWAIT);
    if (n > 0 && std::string_view(text.data(), static_cast<std::size_t>(n)).find("READY=1") !=
                     std::string_view::npos)
      return;
  }
}

}  // namespace

Daemon::Daemon(const Paths& paths)
    : client_socket_(paths.Fresh(".client/buf.sock")),
      control_socket_(paths.Fresh(".control/control.sock")) {
  const std::string config = paths.Fresh(".toml");
  std::ofstream(config) << ConfigText(client_socket_, control_socket_);
  const std::string notify = paths.Fresh(".notify");
  const UniqueFd notifications = Bind(notify);
  child_ = std::make_unique<Child>(Program{.arguments = {paths.daemon, "--config", config},
                                           .environment = {"NOTIFY_SOCKET=" + notify},
                                           .log = paths.Fresh(".log")});
  AwaitReady(notifications.get(), *child_);
}

std::uint64_t Daemon::AnonymousBytes() const {
  std::ifstream rollup("/proc/" + std::to_string(pid()) + "/smaps_rollup");
  for (std::string line; std::getline(rollup, line);) {
    std::istringstream words(line);
    std::string key;
    std::uint64_t kib = 0;
    if (words >> key >> kib && key == "Anonymous:") return kib * 1024;
  }
  Die("smaps_rollup of the daemon has no line Anonymous:");
}

}  // namespace hlbuf::bench
