// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONFIG_H_
#define HLBUF_DAEMON_CONFIG_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "daemon/base/inet_address.h"
#include "daemon/base/log.h"
#include "daemon/control/certificate.h"
#include "daemon/control/tls_files.h"
#include "daemon/core/enforcement.h"
#include "daemon/core/policy.h"
#include "daemon/device/device_config.h"
#include "daemon/limits.h"
#include "daemon/machine.h"

namespace hlbuf {

// Keys and defaults are explained in deploy/config/hl-bufd.toml.

struct SocketsConfig {
  std::string client = "/run/hl-bufd/client/buf.sock";
  mode_t client_mode = 0660;
  std::string clients_group = "hl-bufd-clients";
  std::optional<gid_t> clients_gid;  // nullopt: no such group, nor was it named
  std::string control = "/run/hl-bufd/control/control.sock";
  std::string holders = "/run/hl-bufd/holders/holders.sock";  // of hl-bufd-holders
  std::string keeper = "/run/hl-bufd/keeper/keeper.sock";     // of hl-bufd-keeper.socket

  friend bool operator==(const SocketsConfig&, const SocketsConfig&) = default;
};

// Whose members have which role at the control socket.
struct RolesConfig {
  std::vector<gid_t> viewer;
  std::vector<gid_t> operators;
  std::vector<gid_t> admin;
};

// The control API over TCP.
struct ControlTcpConfig {
  std::optional<InetAddress> listen;  // nullopt: it is off
  TlsFiles files;
  CertificateRoles roles;
  // What is in the files; parsing does not read them.
  TlsTexts tls;
};

struct TimingConfig {
  absl::Duration hello_timeout = absl::Seconds(2);
  absl::Duration operator_grace = absl::Seconds(10);
  absl::Duration reset_grace = absl::Seconds(20);
  absl::Duration ping_interval = absl::Seconds(30);
  absl::Duration reattach_grace = absl::Seconds(60);
};

struct StateConfig {
  std::string directory;  // empty: none
};

// What the service does. Plain values, checked: nothing that reads them checks again.
struct Config {
  SocketsConfig sockets;
  RolesConfig roles;
  ControlTcpConfig control_tcp;
  std::vector<DeviceConfig> devices;  // at least one, with different names
  std::string default_device;         // one of them
  std::vector<Rule> rules;
  Caps caps;
  TimingConfig timing;
  StateConfig state;
  EnforcementSettings enforcement;
  LogLevel log_level = LogLevel::kInfo;
};

// An empty `text` gives the defaults: one software device, named software0. `file_name` is for
// messages.
//
// Errors: INVALID_ARGUMENT, with everything that is wrong, a line each, in the order of the file:
//   hl-bufd.toml:12:8: sockets.client: found "buf.sock"; expected an absolute path ...
// Where the text is no TOML at all, only the first such place is told.
absl::StatusOr<Config> ParseConfig(absl::string_view text, absl::string_view file_name,
                                   const Machine& machine);

// Errors: those of ParseConfig(), or why the file could not be read.
absl::StatusOr<Config> LoadConfig(const std::string& path, const Machine& machine = ThisMachine());

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONFIG_H_
