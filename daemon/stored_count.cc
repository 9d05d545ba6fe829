// SPDX-License-Identifier: Apache-2.0
#include "daemon/stored_count.h"

#include <systemd/sd-bus.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPatienceMicros = 10'000'000;
// systemd's own name for the unit of whoever asks.
constexpr const char* kThisUnit = "/org/freedesktop/systemd1/unit/self";

absl::Status Failed(int error, const char* what, const sd_bus_error* said = nullptr) {
  const char* const words = said != nullptr ? said->message : nullptr;
  return absl::ErrnoToStatus(
      -error, absl::StrCat("count the descriptors that systemd keeps: ", what,
                           words != nullptr ? ": " : "", words != nullptr ? words : ""));
}

}  // namespace

absl::StatusOr<std::uint32_t> CountStoredDescriptors() {
  sd_bus* bus = nullptr;
  if (const int opened = ::sd_bus_open_system(&bus); opened < 0)
    return Failed(opened, "connect to the system bus");
  const absl::Cleanup close = [bus] { ::sd_bus_flush_close_unref(bus); };
  ::sd_bus_set_method_call_timeout(bus, kPatienceMicros);
  sd_bus_error error = SD_BUS_ERROR_NULL;
  const absl::Cleanup free = [&error] { ::sd_bus_error_free(&error); };
  std::uint32_t count = 0;
  const int got = ::sd_bus_get_property_trivial(bus, "org.freedesktop.systemd1", kThisUnit,
                                                "org.freedesktop.systemd1.Service",
                                                "NFileDescriptorStore", &error, 'u', &count);
  if (got < 0) return Failed(got, "ask systemd", &error);
  return count;
}

}  // namespace hlbuf
