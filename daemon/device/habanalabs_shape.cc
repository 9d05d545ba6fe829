// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/habanalabs_shape.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"
#include "daemon/device/error_text.h"
#include "daemon/device/host_memory_exporter.h"

namespace hlbuf {
namespace {

std::uint64_t RoundDown(std::uint64_t bytes, std::uint64_t unit) { return bytes - bytes % unit; }

absl::Status TooSmall(const DeviceConfig& config, std::uint64_t unit) {
  return Error(
      ErrorCode::kInvalidArgument,
      absl::StrCat("device \"", config.name, "\": its size, ", BytesText(config.size_bytes),
                   ", is less than the card gives out at "
                   "once, ",
                   BytesText(unit), "; raise it, or leave it out for the whole card"));
}

absl::Status Nonsense(const HabanalabsNodes& nodes, const hl::HwIp& hw_ip) {
  return Error(ErrorCode::kDeviceError,
               absl::StrCat(nodes.compute.path, ": HW_IP_INFO tells of ", hw_ip.dram_size,
                            " bytes of memory in pages of ", hw_ip.dram_page_size,
                            ", which hl-bufd cannot cut; is the card's memory disabled?"));
}

// The BAR begins where the memory does; in front of what is for users, some is the driver's.
std::uint64_t BehindBar(const HabanalabsNodes& nodes, const hl::HwIp& hw_ip) {
  if (!nodes.bar_bytes) return hw_ip.dram_size;
  return *nodes.bar_bytes - std::min(hw_ip.reserved_dram_size, *nodes.bar_bytes);
}

}  // namespace

bool HasPhysicalMemory(absl::string_view device_type) {
  return device_type == "GAUDI" || device_type == "GAUDI SEC";
}

absl::StatusOr<CardMemory> ShapeOf(const DeviceConfig& config, const HabanalabsNodes& nodes,
                                   const HabanalabsDriver& driver, const hl::HwIp& hw_ip) {
  const bool physical = HasPhysicalMemory(nodes.device_type);
  if (!physical && !absl::StartsWith(nodes.device_type, "GAUDI"))
    return Error(ErrorCode::kUnimplemented,
                 absl::StrCat(nodes.pci, ": cards of type \"", nodes.device_type,
                              "\" export no memory; there are Gaudi and Gaudi2"));
  const std::uint64_t page = PageBytes();
  const std::uint64_t chunk = hw_ip.device_mem_alloc_default_page_size > 0
                                  ? hw_ip.device_mem_alloc_default_page_size
                                  : hw_ip.dram_page_size;
  const std::uint64_t unit = physical ? page : chunk;
  if (unit == 0 || unit % page != 0 || hw_ip.dram_size < unit ||
      (physical && hw_ip.dram_base_address % page != 0))
    return Nonsense(nodes, hw_ip);
  if (config.size_bytes > 0 && config.size_bytes < unit) return TooSmall(config, unit);
  std::uint64_t total =
      physical ? std::min(hw_ip.dram_size, BehindBar(nodes, hw_ip)) : hw_ip.dram_size;
  if (config.size_bytes > 0) total = std::min(total, config.size_bytes);
  return CardMemory{
      .base = physical ? hw_ip.dram_base_address : 0,
      .total_bytes = RoundDown(total, unit),
      .driver_page_bytes = unit,
      .page_bytes = page,
      .one_window_each = !physical && driver.uapi() == HabanalabsDriver::Uapi::kLegacy,
      .isolates = config.isolation != "none"};
}

}  // namespace hlbuf
