// SPDX-License-Identifier: Apache-2.0
#include "daemon/config_sections.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/config_values.h"

namespace hlbuf {
namespace {

struct NamedGroup {
  std::string name;
  gid_t gid = 0;
};

ValueKind<NamedGroup> GroupWithName(const Machine& machine) {
  const ValueKind<gid_t> group = Group(machine);
  return {.expected = group.expected,
          .parse = [group](const toml::node& node) -> std::optional<NamedGroup> {
            const std::optional<gid_t> gid = group.parse(node);
            if (!gid.has_value()) return std::nullopt;
            const auto* text = node.as_string();
            return NamedGroup{text != nullptr ? text->get() : absl::StrCat(*gid), *gid};
          }};
}

void ReadAmounts(TableReader& table, GivenLimits::Given& given) {
  for (std::size_t r = 0; r < kResourceCount; ++r) {
    const auto resource = static_cast<Resource>(r);
    const auto kind =
        resource == Resource::kBytes ? SizeFrom(1, INT64_MAX) : CountFrom(1, UINT32_MAX);
    if (std::uint64_t amount = 0; table.Read(ResourceText(resource), kind, amount))
      given[r] = amount;
  }
  table.RejectOthers();
}

Means MeansOf(const Machine& machine, const std::vector<DeviceConfig>& devices) {
  // A sum of sizes that were checked can pass 64 bits; nobody has so much memory.
  constexpr std::uint64_t kBytesMax = INT64_MAX;
  // What a card has is known when it is open; a Gaudi2 has so much, which is the most.
  constexpr std::uint64_t kCardBytes = std::uint64_t{96} << 30;
  Means means = {.nofile = machine.nofile, .devices = devices.size(), .device_bytes = 0};
  for (const DeviceConfig& device : devices) {
    const std::uint64_t bytes = device.size_bytes == 0 ? kCardBytes : device.size_bytes;
    if (device.size_bytes == 0) means.bytes_known = false;
    means.device_bytes += std::min(bytes, kBytesMax - means.device_bytes);
  }
  return means;
}

absl::string_view DirectoryOf(absl::string_view path) {
  return path.substr(0, path.rfind('/') + 1);
}

}  // namespace

void ReadSockets(TableReader& root, const Machine& machine, SocketsConfig& sockets) {
  // That the default does not exist lets nobody in whom it should not; the daemon warns, and runs.
  sockets.clients_gid = machine.find_group(sockets.clients_group);
  std::optional<TableReader> table = root.Table("sockets");
  if (!table.has_value()) return;
  table->Read("client", SocketPath(), sockets.client);
  table->Read("client_mode", SocketMode(), sockets.client_mode);
  table->Read("control", SocketPath(), sockets.control);
  table->Read("holders", SocketPath(), sockets.holders);
  table->Read("keeper", SocketPath(), sockets.keeper);
  if (NamedGroup group; table->Read("clients_group", GroupWithName(machine), group)) {
    sockets.clients_group = group.name;
    sockets.clients_gid = group.gid;
  }
  for (const auto& [key, path] :
       {std::pair("control", sockets.control), std::pair("holders", sockets.holders),
        std::pair("keeper", sockets.keeper)})
    if (absl::StartsWith(path, DirectoryOf(sockets.client)))
      table->ComplainOf(key, absl::StrCat("\"", path,
                                          "\" is below the directory of the client socket, which "
                                          "containers get to see; put it elsewhere"));
  table->RejectOthers();
}

void ReadRoles(TableReader& root, const Machine& machine, RolesConfig& roles) {
  std::optional<TableReader> table = root.Table("roles");
  if (!table.has_value()) return;
  table->ReadList("viewer", Group(machine), roles.viewer);
  table->ReadList("operator", Group(machine), roles.operators);
  table->ReadList("admin", Group(machine), roles.admin);
  ForbidForeignIds(*table, machine, {"viewer", "operator", "admin"});
  table->RejectOthers();
}

void ReadControlTcp(TableReader& root, ControlTcpConfig& tcp) {
  std::optional<TableReader> table = root.Table("control_tcp");
  if (!table.has_value()) return;
  table->Read("listen", ListenAddress(), tcp.listen);
  for (const auto& [key, path] :
       {std::pair("certificate", &tcp.files.certificate), std::pair("key", &tcp.files.key),
        std::pair("client_ca", &tcp.files.client_ca)}) {
    if (tcp.listen.has_value())
      table->Require(key, AbsolutePath(), *path);
    else
      table->Read(key, AbsolutePath(), *path);
  }
  table->ReadList("viewer", CertificateName(), tcp.roles.viewer);
  table->ReadList("operator", CertificateName(), tcp.roles.operators);
  table->ReadList("admin", CertificateName(), tcp.roles.admin);
  table->RejectOthers();
}

void ReadLimits(TableReader& root, const Machine& machine, Config& config) {
  const Means means = MeansOf(machine, config.devices);
  if (machine.nofile < NofileMin(means.devices))
    root.ComplainOf("limits", absl::StrCat("this process may have ", machine.nofile,
                                           " file descriptors and needs at least ",
                                           NofileMin(means.devices), "; raise LimitNOFILE="));
  GivenLimits given;
  std::array<std::optional<TableReader>, 3> tables;  // by LimitFault::Scope
  if (std::optional<TableReader> limits = root.Table("limits")) {
    tables = {limits->Table("service"), limits->Table("uid"), limits->Table("domain")};
    limits->RejectOthers();
  }
  if (tables[0].has_value()) ReadAmounts(*tables[0], given.service);
  if (tables[1].has_value()) ReadAmounts(*tables[1], given.uid);
  if (tables[2].has_value()) ReadAmounts(*tables[2], given.domain);
  config.caps = DeriveCaps(means, given);
  for (const LimitFault& fault : FindFaults(config.caps, given))
    tables[static_cast<std::size_t>(fault.scope)]->ComplainOf(ResourceText(fault.resource),
                                                              fault.text);
}

void ReadTiming(TableReader& root, TimingConfig& timing) {
  std::optional<TableReader> table = root.Table("timing");
  if (!table.has_value()) return;
  table->Read("hello_timeout", DurationFrom(absl::Milliseconds(100), absl::Minutes(1)),
              timing.hello_timeout);
  table->Read("operator_grace", DurationFrom(absl::ZeroDuration(), absl::Hours(1)),
              timing.operator_grace);
  table->Read("reset_grace", DurationFrom(absl::ZeroDuration(), absl::Hours(1)),
              timing.reset_grace);
  table->Read("ping_interval", DurationFrom(absl::Seconds(1), absl::Hours(1)),
              timing.ping_interval);
  table->Read("reattach_grace", DurationFrom(absl::Seconds(1), absl::Hours(1)),
              timing.reattach_grace);
  table->RejectOthers();
}

void ReadState(TableReader& root, StateConfig& state) {
  std::optional<TableReader> table = root.Table("state");
  if (!table.has_value()) return;
  table->Read("directory", AbsolutePath(), state.directory);
  table->RejectOthers();
}

void ReadEnforcement(TableReader& root, EnforcementSettings& enforcement) {
  std::optional<TableReader> table = root.Table("enforcement");
  if (!table.has_value()) return;
  const ValueKind<Force> force = OneOf<Force>(
      {{"off", Force::kNone}, {"terminate", Force::kTerminate}, {"kill", Force::kKill}});
  table->Read("resets", force, enforcement.resets);
  table->Read("revocations", force, enforcement.revocations);
  table->RejectOthers();
}

void ReadLog(TableReader& root, LogLevel& level) {
  std::optional<TableReader> table = root.Table("log");
  if (!table.has_value()) return;
  std::vector<std::pair<std::string, LogLevel>> words;
  for (const LogLevel known :
       {LogLevel::kError, LogLevel::kWarning, LogLevel::kNotice, LogLevel::kInfo, LogLevel::kDebug})
    words.emplace_back(LogLevelText(known), known);
  table->Read("level", OneOf(std::move(words)), level);
  table->RejectOthers();
}

}  // namespace hlbuf
