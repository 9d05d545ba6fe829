// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/make_backends.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "daemon/base/log.h"
#include "daemon/core/error.h"
#include "daemon/device/device_worker.h"
#include "daemon/device/dma_heap_exporter.h"
#include "daemon/device/habanalabs_exporter.h"
#include "daemon/device/keeper_opener.h"
#include "daemon/device/software_exporter.h"
#include "daemon/device/udmabuf_exporter.h"

namespace hlbuf {
namespace {

using Warn = std::function<void(const std::string&)>;
using MakeExporter = std::unique_ptr<Exporter> (*)(const DeviceConfig&, Syscalls&, Keeping);

template <class T>
std::unique_ptr<Exporter> Make(const DeviceConfig& config, Syscalls& syscalls, Keeping keeping) {
  return std::make_unique<T>(config, syscalls, std::move(keeping));
}

// The driver kills whoever opened the card when it resets it. Of its death an alarm tells.
std::unique_ptr<Exporter> MakeHabanalabs(const DeviceConfig& config, Syscalls& syscalls,
                                         Keeping keeping) {
  return std::make_unique<HabanalabsExporter>(config, syscalls, std::move(keeping.opener));
}

struct Kind {
  absl::string_view name;
  MakeExporter make;
};
// A new kind of device memory is a file and a row.
constexpr std::array kKinds = {
    Kind{"software", Make<SoftwareExporter>},
    Kind{"udmabuf", Make<UdmabufExporter>},
    Kind{"dma-heap", Make<DmaHeapExporter>},
    Kind{"habanalabs", MakeHabanalabs},
};

std::string KindNames() {
  std::vector<absl::string_view> names;
  for (const Kind& kind : kKinds) names.push_back(kind.name);
  return absl::StrJoin(names, ", ");
}

absl::Status Wrong(const DeviceConfig& config, absl::string_view why) {
  return Error(ErrorCode::kInvalidArgument, absl::StrCat("device \"", config.name, "\": ", why));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> MakeBackend(const DeviceConfig& config, Reactor& reactor,
                                                     Syscalls& syscalls, KeeperDialer* keepers,
                                                     TellOfKeeper tell) {
  if (config.isolation != "cleared" && config.isolation != "none")
    return Wrong(config, absl::StrCat("isolation is \"cleared\" or \"none\", not \"",
                                      config.isolation, "\""));
  if (config.size_bytes > 0 && config.size_bytes < PageBytes())
    return Wrong(config, absl::StrCat("its size is less than a page, ", PageBytes(), " bytes"));
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(),
                                 [&](const Kind& k) { return k.name == config.kind; });
  if (kind == kKinds.end())
    return Wrong(config,
                 absl::StrCat("there is no kind \"", config.kind, "\"; there are ", KindNames()));
  const Warn warn = [name = config.name](const std::string& text) {
    Log(LogLevel::kWarning, absl::StrCat(name, ": ", text), {{"HLBUFD_DEVICE", name}});
  };
  Keeping keeping;
  if (keepers != nullptr)
    keeping.opener = std::make_unique<KeeperOpener>(config.name, *keepers, KeeperLimits(), warn);
  if (tell != nullptr) {
    const auto of = [&](EventKind what) {
      return [what, name = config.name, tell](const std::string& text) { tell(what, name, text); };
    };
    keeping.lost = of(EventKind::kKeeperLost);
    keeping.unkept = of(EventKind::kStateUnkept);
  }
  keeping.kept = [name = config.name](const std::string& text) {
    Log(LogLevel::kNotice, absl::StrCat(name, ": ", text), {{"HLBUFD_DEVICE", name}});
  };
  return std::make_unique<DeviceWorker>(config.name,
                                        kind->make(config, syscalls, std::move(keeping)), reactor);
}

}  // namespace hlbuf
