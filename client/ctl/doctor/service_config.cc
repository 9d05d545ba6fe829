// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/service_config.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {

bool ServiceConfig::is_for_host_memory() const {
  const auto has = [this](const char* kind) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
  };
  return !has("habanalabs") && (has("udmabuf") || has("dma-heap"));
}

absl::StatusOr<ServiceConfig> ReadServiceConfig(const std::string& path) {
  ServiceConfig config{.path = path};
  const absl::StatusOr<std::string> text = FileText(path);
  if (absl::IsNotFound(text.status())) return config;
  if (!text.ok()) return text.status();
  const toml::parse_result parsed = toml::parse(*text);
  const std::string bad = absl::StrCat(path,
                                       " is no good configuration; hl-bufd --check-config "
                                       "says why");
  if (!parsed) return absl::InvalidArgumentError(bad);
  const auto grace = parsed.table()["timing"]["reset_grace"];
  if (grace && (!grace.is_string() ||
                !absl::ParseDuration(grace.value_or(std::string()), &config.reset_grace)))
    return absl::InvalidArgumentError(bad);
  const auto holders = parsed.table()["sockets"]["holders"];
  if (holders && !holders.is_string()) return absl::InvalidArgumentError(bad);
  config.holders = holders.value_or(config.holders);
  for (const char* by : {"resets", "revocations"})
    if (parsed.table()["enforcement"][by].value_or(std::string("off")) != "off")
      config.enforces = true;
  const toml::array* const devices = parsed.table()["device"].as_array();
  if (devices == nullptr) return config;
  config.kinds.clear();
  for (const toml::node& device : *devices)
    if (const toml::table* const table = device.as_table(); table != nullptr)
      config.kinds.push_back((*table)["kind"].value_or(std::string()));
  return config;
}

}  // namespace hlbuf::ctl::doctor
