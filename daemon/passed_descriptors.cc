// SPDX-License-Identifier: Apache-2.0
#include "daemon/passed_descriptors.h"

#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cstdlib>

namespace hlbuf {

absl::StatusOr<PassedDescriptors> PassedDescriptors::Adopt() {
  char** names = nullptr;
  const int count = ::sd_listen_fds_with_names(/*unset_environment=*/1, &names);
  if (count < 0) return absl::ErrnoToStatus(-count, "LISTEN_FDS of the service manager");
  std::vector<std::pair<std::string, UniqueFd>> named;
  for (int i = 0; i < count; ++i) {
    named.emplace_back(names[i], UniqueFd(SD_LISTEN_FDS_START + i));
    std::free(names[i]);
  }
  std::free(names);
  return PassedDescriptors(std::move(named));
}

std::optional<UniqueFd> PassedDescriptors::Take(absl::string_view name) {
  const auto it = std::find_if(named_.begin(), named_.end(),
                               [&](const auto& entry) { return entry.first == name; });
  if (it == named_.end()) return std::nullopt;
  UniqueFd fd = std::move(it->second);
  named_.erase(it);
  return fd;
}

std::vector<std::string> PassedDescriptors::Left() const {
  std::vector<std::string> names;
  for (const auto& [name, fd] : named_) names.push_back(name);
  return names;
}

}  // namespace hlbuf
