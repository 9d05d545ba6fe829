// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/states.h"

namespace hlbuf {
namespace {

template <std::size_t N, class State>
absl::string_view Named(const std::array<absl::string_view, N>& names, State state) {
  const auto index = static_cast<std::size_t>(state);
  return index < N ? names[index] : "UNKNOWN";
}

}  // namespace

absl::string_view StateText(BufferState state) {
  static constexpr std::array<absl::string_view, 5> kNames = {"ALLOCATING", "LIVE", "REVOKING",
                                                              "DRAINING", "FREED"};
  return Named(kNames, state);
}

absl::string_view StateText(LeaseState state) {
  static constexpr std::array<absl::string_view, 4> kNames = {"ACTIVE", "REVOKING", "OVERDUE",
                                                              "ENDED"};
  return Named(kNames, state);
}

absl::string_view StateText(SessionState state) {
  static constexpr std::array<absl::string_view, 5> kNames = {"NEW", "READY", "PARKED", "ENDED",
                                                              "AWAY"};
  return Named(kNames, state);
}

absl::string_view StateText(DeviceState state) {
  static constexpr std::array<absl::string_view, 8> kNames = {
      "ABSENT", "OPENING", "READY", "REVOKING", "CLOSING", "RESETTING", "FAILED", "DRAINED"};
  return Named(kNames, state);
}

}  // namespace hlbuf
