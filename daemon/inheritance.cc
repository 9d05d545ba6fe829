// SPDX-License-Identifier: Apache-2.0
#include "daemon/inheritance.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/base/log.h"
#include "daemon/base/status_macros.h"
#include "daemon/service_facts.h"

namespace hlbuf {
namespace {

// Those that are spawned end with this service's unit.
bool ServiceManagerKeeps(NotifySocket& notify, const SocketsConfig& sockets) {
  return notify.Send("STATUS=Starting").ok() && ::access(sockets.keeper.c_str(), F_OK) == 0;
}

std::vector<std::string> KeeperNames(const Config& config) {
  std::vector<std::string> names;
  for (const DeviceConfig& device : config.devices) names.push_back(KeeperName(device.name));
  return names;
}

}  // namespace

// Where nothing is kept, what an earlier process had is gone: its keepers ended with it.
absl::Status Inheritance::Open(const Config& config, PassedDescriptors passed) {
  store_ = std::make_unique<FdStore>(notify_, std::move(passed));
  if (!config.state.directory.empty()) {
    RETURN_IF_ERROR(OpenIn(config.state.directory));
  } else if (ServiceManagerKeeps(notify_, config.sockets)) {
    RETURN_IF_ERROR(OpenStored(config));
  } else {
    Log(LogLevel::kNotice, kNotKept);
    keepers_ = std::make_unique<SpawnedKeepers>(DefaultKeeperPath());
  }
  OpenPage(config.caps.nofile);
  if (!found_.set_aside.empty())
    on_loss_(EventKind::kStateLost,
             absl::StrCat(found_.set_aside,
                          "; this service begins with nothing, and what clients had is revoked"));
  for (const std::string& name : store_->RemoveUntaken())
    Log(LogLevel::kWarning,
        absl::StrCat("the service manager passed a descriptor \"", name,
                     "\", which means nothing here; it is closed, and stored no longer"));
  return absl::OkStatus();
}

absl::Status Inheritance::OpenIn(const std::string& directory) {
  ASSIGN_OR_RETURN(found_, journal_.OpenIn(directory));
  keepers_ = std::make_unique<SpawnedKeepers>(
      DefaultKeeperPath(), absl::StrCat(directory, "/keepers"),
      [](const std::string& text) { Log(LogLevel::kWarning, text); });
  return absl::OkStatus();
}

absl::Status Inheritance::OpenStored(const Config& config) {
  stored_ = std::make_unique<StoredState>(
      *store_, poster_, clock_, KeeperNames(config),
      [this](const std::string& text) { on_loss_(EventKind::kStateUnkept, text); }, on_counting_);
  ASSIGN_OR_RETURN(found_, journal_.OpenStored(stored_->TakeJournal()));
  if (found_.aside)
    absl::StrAppend(&found_.set_aside, "; the service manager keeps it as ",
                    StoredState::kJournalAside);
  RETURN_IF_ERROR(stored_->PutJournal(journal_.fd(), found_.aside));
  keepers_ = std::make_unique<ConnectedKeepers>(config.sockets.keeper, *stored_);
  return absl::OkStatus();
}

// Each buffer costs a descriptor: so many have room. Clients can do without the page.
void Inheritance::OpenPage(std::uint64_t descriptors) {
  const auto slots =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(descriptors, SharedEpochPage::kSlotsMax));
  if (UniqueFd earlier = stored_ != nullptr ? stored_->TakeEpochPage() : UniqueFd()) {
    const absl::Status adopted = page_.Adopt(std::move(earlier), slots);
    // Its descriptor stays stored.
    if (adopted.ok()) return page_.TakeMemory().Reset();
    Log(LogLevel::kNotice,
        absl::StrCat("the epoch page of an earlier process is of no use: ", adopted.message(),
                     "; clients get another one when they are back"));
  }
  absl::Status made = page_.Create(slots);
  const UniqueFd memory = page_.TakeMemory();
  if (made.ok() && stored_ != nullptr) made = stored_->PutEpochPage(memory.get());
  if (!made.ok())
    Log(LogLevel::kError,
        absl::StrCat("the epoch page, by which caches of clients know that a buffer is current, ",
                     page_.end() == 0 ? "is not there" : "is lost with a restart of this service",
                     ": ", made.message()));
}

}  // namespace hlbuf
