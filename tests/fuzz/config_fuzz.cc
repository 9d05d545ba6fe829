// SPDX-License-Identifier: Apache-2.0
// Any bytes as a configuration: it is refused in printable lines that say where, or it is one that
// the daemon can run.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "daemon/config.h"
#include "daemon/core/names.h"

namespace {

constexpr absl::string_view kFile = "fuzz.toml";

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "config_fuzz: not so: %s\n", what);
  std::abort();
}

const hlbuf::Machine& Machine() {
  static const hlbuf::Machine machine = {
      .nofile = 20'000,
      .memory_bytes = std::uint64_t{1} << 35,
      .maps_all_ids = true,
      .find_group = [](const std::string& name) -> std::optional<gid_t> {
        Check(name.find('\0') == std::string::npos, "a group name is a C string");
        return name == "operators" ? std::optional<gid_t>(901) : std::nullopt;
      }};
  return machine;
}

void CheckRefusal(const absl::Status& refused) {
  Check(refused.code() == absl::StatusCode::kInvalidArgument, "it is the argument that is wrong");
  for (absl::string_view line : absl::StrSplit(refused.message(), '\n')) {
    Check(absl::StartsWith(line, kFile), "each line says where");
    Check(hlbuf::Printable(line, line.size()) == line, "messages are printable");
  }
}

void CheckConfig(const hlbuf::Config& config) {
  Check(std::any_of(config.devices.begin(), config.devices.end(),
                    [&](const hlbuf::DeviceConfig& d) { return d.name == config.default_device; }),
        "the default device is one of the devices");
  for (const hlbuf::DeviceConfig& device : config.devices)
    Check(hlbuf::CheckName("device", device.name).ok(), "devices have good names");
  for (const hlbuf::Rule& rule : config.rules)
    Check(std::count(rule.uids.begin(), rule.uids.end(), hlbuf::kNobodyUid) == 0,
          "no rule names nobody");
  const hlbuf::QuotaLimits& limits = config.caps.limits;
  for (std::size_t r = 0; r < hlbuf::kResourceCount; ++r)
    Check(limits.domain[r] >= 1 && limits.domain[r] <= limits.uid[r] &&
              limits.uid[r] <= limits.service[r],
          "a part is not larger than the whole");
  Check(!hlbuf::Describe(config.caps).empty(), "limits can be told");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(bytes), size);
  const absl::StatusOr<hlbuf::Config> config = hlbuf::ParseConfig(text, kFile, Machine());
  if (config.ok())
    CheckConfig(*config);
  else
    CheckRefusal(config.status());
  return 0;
}
