// SPDX-License-Identifier: Apache-2.0
#include "daemon/settings_of.h"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>

#include "absl/time/clock.h"

namespace hlbuf {
namespace {

std::uint64_t Random() {
  std::uint64_t random = 0;
  // It gives so few bytes whole. Where a sandbox forbids the call, ids are only easier to guess.
  if (::getrandom(&random, sizeof(random), 0) == sizeof(random)) return random;
  return static_cast<std::uint64_t>(::getpid());
}

}  // namespace

BrokerSettings SettingsOf(const Config& config) {
  const std::uint64_t first_id = FirstId(absl::ToUnixMicros(absl::Now()), Random());
  return {.limits = config.caps.limits,
          .default_device = config.default_device,
          .operator_grace = config.timing.operator_grace,
          .reset_grace = config.timing.reset_grace,
          .enforcement = config.enforcement,
          .first_id = first_id,
          .first_epoch = FirstEpoch(first_id),
          .reattach_grace = config.timing.reattach_grace};
}

Policy PolicyOf(const Config& config) {
  return Policy(config.rules,
                {.clients_gid = config.sockets.clients_gid, .service_uid = ::geteuid()});
}

RoleGroups RolesOf(const Config& config) {
  return {.viewer = config.roles.viewer,
          .operators = config.roles.operators,
          .admin = config.roles.admin,
          .service_uid = ::geteuid()};
}

SessionTiming SessionTimingOf(const Config& config) {
  return {.hello_timeout = config.timing.hello_timeout,
          .ping_interval = config.timing.ping_interval};
}

ControlSettings ControlSettingsOf(const Config& config) {
  ControlSettings settings;
  settings.roles = RolesOf(config);
  settings.connections.all = config.caps.control_connections;
  if (config.control_tcp.listen.has_value()) {
    CallerQuota::Limits& tcp = settings.tcp_connections;
    tcp.all = settings.connections.all / 4;
    tcp.uid = std::max<std::size_t>(tcp.all / 2, 1);
    settings.connections.all -= tcp.all;
  }
  settings.connections.uid = settings.connections.all / 2;
  return settings;
}

}  // namespace hlbuf
