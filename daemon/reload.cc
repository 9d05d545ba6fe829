// SPDX-License-Identifier: Apache-2.0
#include "daemon/reload.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "daemon/base/log.h"
#include "daemon/observe/message_ids.h"

namespace hlbuf {
namespace {

std::vector<std::string> LinesOf(const absl::Status& refused) {
  return absl::StrSplit(refused.message(), '\n', absl::SkipEmpty());
}

// The first mistake; the log has them all.
std::string Remark(const absl::Status& refused) {
  const std::vector<std::string> lines = LinesOf(refused);
  return absl::StrCat("the configuration was refused and the old one is kept: ",
                      lines.empty() ? "no reason given" : lines.front(),
                      lines.size() > 1 ? absl::StrCat(" (and ", lines.size() - 1, " more)") : "");
}

}  // namespace

Reread MergeConfig(const Config& running, Config read) {
  Reread merged;
  SocketsConfig sockets = running.sockets;
  // A group of the same name may exist by now.
  if (read.sockets.clients_group == sockets.clients_group)
    sockets.clients_gid = read.sockets.clients_gid;
  if (read.sockets != sockets) merged.need_restart.emplace_back("sockets");
  read.sockets = std::move(sockets);

  if (read.devices != running.devices) {
    merged.need_restart.insert(merged.need_restart.end(), {"device", "limits"});
    read.caps = running.caps;
    read.devices = running.devices;
  }
  if (read.control_tcp.listen != running.control_tcp.listen) {
    merged.need_restart.emplace_back("control_tcp");
    read.control_tcp = running.control_tcp;
  }
  if (read.state.directory != running.state.directory) {
    merged.need_restart.emplace_back("state");
    read.state = running.state;
  }
  if (read.default_device != running.default_device) {
    merged.need_restart.emplace_back("default_device");
    read.default_device = running.default_device;
  }
  merged.config = std::move(read);
  return merged;
}

void LogRefusedConfig(const absl::Status& refused) {
  for (const std::string& line : LinesOf(refused))
    Log(LogLevel::kError, line,
        {{.name = "MESSAGE_ID", .value = std::string(kConfigurationRefused)}});
}

Reload::Reload(Poster& poster, Readiness& readiness, Config running, ConfigSource source,
               Apply apply)
    : readiness_(readiness),
      running_(std::move(running)),
      source_(std::move(source)),
      apply_(std::move(apply)),
      read_(absl::UnavailableError("nothing was read")),
      job_(poster) {}

void Reload::Request() {
  if (reading_) {
    once_more_ = true;
    return;
  }
  reading_ = true;
  readiness_.BeginReload();
  Read();
}

void Reload::Read() {
  job_.Run([this] { read_ = source_(); }, [this] { Finish(); });
}

void Reload::Finish() {
  if (std::exchange(once_more_, false)) return Read();
  reading_ = false;
  readiness_.EndReload(Take(std::move(read_)));
}

std::string Reload::Take(absl::StatusOr<Config> read) {
  if (!read.ok()) {
    LogRefusedConfig(read.status());
    return Remark(read.status());
  }
  Reread merged = MergeConfig(running_, *std::move(read));
  running_ = std::move(merged.config);
  apply_(running_);
  if (merged.need_restart.empty()) {
    Log(LogLevel::kNotice, "the configuration was read again and holds from now on");
    return "";
  }
  const std::string remark =
      absl::StrCat("what the configuration says of ", absl::StrJoin(merged.need_restart, ", "),
                   ", needs a restart of the service");
  Log(LogLevel::kWarning, absl::StrCat("the configuration was read again; ", remark));
  return remark;
}

}  // namespace hlbuf
