// SPDX-License-Identifier: Apache-2.0
// The parts of a configuration, one function each. They fill in what is there and right, and
// complain through the reader of the rest.
#ifndef HLBUF_DAEMON_CONFIG_SECTIONS_H_
#define HLBUF_DAEMON_CONFIG_SECTIONS_H_

#include "daemon/config.h"
#include "daemon/config_reader.h"

namespace hlbuf {

void ReadSockets(TableReader& root, const Machine& machine, SocketsConfig& sockets);
void ReadRoles(TableReader& root, const Machine& machine, RolesConfig& roles);
void ReadControlTcp(TableReader& root, ControlTcpConfig& tcp);
// [[device]] and default_device.
void ReadDevices(TableReader& root, const Machine& machine, Config& config);
// [[rule]]; the devices have been read.
void ReadRules(TableReader& root, const Machine& machine, Config& config);
// The devices have been read.
void ReadLimits(TableReader& root, const Machine& machine, Config& config);
void ReadTiming(TableReader& root, TimingConfig& timing);
void ReadState(TableReader& root, StateConfig& state);
void ReadEnforcement(TableReader& root, EnforcementSettings& enforcement);
void ReadLog(TableReader& root, LogLevel& level);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONFIG_SECTIONS_H_
