// SPDX-License-Identifier: Apache-2.0
// What a configuration means to each part of the daemon.
#ifndef HLBUF_DAEMON_SETTINGS_OF_H_
#define HLBUF_DAEMON_SETTINGS_OF_H_

#include "daemon/config.h"
#include "daemon/control/control_server.h"
#include "daemon/core/broker.h"
#include "daemon/core/policy.h"
#include "daemon/session/listener.h"

namespace hlbuf {

// With ids and epochs that no earlier process of this service had.
BrokerSettings SettingsOf(const Config& config);
Policy PolicyOf(const Config& config);
RoleGroups RolesOf(const Config& config);
SessionTiming SessionTimingOf(const Config& config);
ControlSettings ControlSettingsOf(const Config& config);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_SETTINGS_OF_H_
