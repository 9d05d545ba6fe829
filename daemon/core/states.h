// SPDX-License-Identifier: Apache-2.0
// The four state machines of the broker. DESIGN.md prints these tables; states_test.cc walks every
// pair.
#ifndef HLBUF_DAEMON_CORE_STATES_H_
#define HLBUF_DAEMON_CORE_STATES_H_

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "daemon/core/transition.h"

namespace hlbuf {

enum class BufferState : std::uint8_t { kAllocating, kLive, kRevoking, kDraining, kFreed };
enum class BufferEvent : std::uint8_t {
  kExported,      // the device made it, and somebody still wants it
  kExportedLate,  // the device made it, but its session or its epoch has ended meanwhile
  kExportFailed,
  kRevoke,
  kLastLeaseEnded,
  kDeadline,  // of the revocation
  kLetGo,     // proven or acknowledged: nobody else holds it, and its window is clean again
};

enum class LeaseState : std::uint8_t { kActive, kRevoking, kOverdue, kEnded };
enum class LeaseEvent : std::uint8_t {
  kRelease,
  kRevoke,
  kDeadline,
  kSessionEnded,
  kGivenUp,  // its memory went in a reset, and nobody let go of it
};

enum class SessionState : std::uint8_t {
  kNew,
  kReady,
  kParked,
  kEnded,
  kAway,  // kept over a restart of the service; its client has not come back yet
};
enum class SessionEvent : std::uint8_t {
  kHello,
  kViolation,   // a broken frame, no HELLO in time, a descriptor where none belongs
  kGoodbye,     // we end it
  kPeerGone,    // end of file, or the peer's process exited
  kQueueEmpty,  // the peer, or the kernel in its place, has taken everything we sent
  kReattached,  // the client came back: an AWAY session gets it, a NEW one loses it to that
  kNotBack,     // nor will it come
};

enum class DeviceState : std::uint8_t {
  kAbsent,
  kOpening,
  kReady,
  kRevoking,
  kClosing,
  kResetting,
  kFailed,
  kDrained,  // open, but an operator keeps it out of use
};
enum class DeviceEvent : std::uint8_t {
  kOpen,
  kOpened,
  kOpenFailed,
  kReset,     // noticed or drilled
  kAllLetGo,  // or the deadline passed: the device waits no longer
  kClosed,    // nothing of ours is in the device's way
  kResetDone,
  kResetFailed,
  kDrain,
  kUndrain,
  kOpenedDrained,  // opened, and it was drained before or meanwhile
};

// clang-format off
inline constexpr auto kBufferTransitions = [] {
  using enum BufferState;
  using enum BufferEvent;
  return std::to_array<Transition<BufferState, BufferEvent>>({
      {kAllocating, kExported,       kLive},
      {kAllocating, kExportedLate,   kDraining},
      {kAllocating, kExportFailed,   kFreed},
      {kLive,       kRevoke,         kRevoking},
      {kLive,       kLastLeaseEnded, kDraining},
      {kRevoking,   kLastLeaseEnded, kDraining},
      {kRevoking,   kDeadline,       kDraining},
      {kDraining,   kLetGo,          kFreed},
  });
}();

inline constexpr auto kLeaseTransitions = [] {
  using enum LeaseState;
  using enum LeaseEvent;
  return std::to_array<Transition<LeaseState, LeaseEvent>>({
      {kActive,   kRelease,      kEnded},
      {kActive,   kRevoke,       kRevoking},
      {kActive,   kSessionEnded, kEnded},
      {kActive,   kGivenUp,      kEnded},
      {kRevoking, kRelease,      kEnded},
      {kRevoking, kDeadline,     kOverdue},
      {kRevoking, kSessionEnded, kEnded},
      {kRevoking, kGivenUp,      kEnded},
      {kOverdue,  kRelease,      kEnded},  // late, but welcome
      {kOverdue,  kSessionEnded, kEnded},
      {kOverdue,  kGivenUp,      kEnded},
  });
}();

inline constexpr auto kSessionTransitions = [] {
  using enum SessionState;
  using enum SessionEvent;
  return std::to_array<Transition<SessionState, SessionEvent>>({
      {kNew,    kHello,      kReady},
      {kNew,    kViolation,  kParked},
      {kNew,    kGoodbye,    kParked},
      {kNew,    kPeerGone,   kParked},
      {kReady,  kViolation,  kParked},
      {kReady,  kGoodbye,    kParked},
      {kReady,  kPeerGone,   kParked},
      {kParked, kQueueEmpty, kEnded},
      {kNew,    kReattached, kEnded},
      {kAway,   kReattached, kReady},
      {kAway,   kNotBack,    kParked},
  });
}();

inline constexpr auto kDeviceTransitions = [] {
  using enum DeviceState;
  using enum DeviceEvent;
  return std::to_array<Transition<DeviceState, DeviceEvent>>({
      {kAbsent,    kOpen,          kOpening},
      {kOpening,   kOpened,        kReady},
      {kOpening,   kOpenedDrained, kDrained},
      {kOpening,   kOpenFailed,    kFailed},
      {kOpening,   kReset,         kRevoking},  // one that a restart of the service interrupted
      {kReady,     kReset,         kRevoking},
      {kReady,     kDrain,         kDrained},
      {kDrained,   kUndrain,       kReady},
      {kDrained,   kReset,         kRevoking},
      {kRevoking,  kAllLetGo,      kClosing},
      {kClosing,   kClosed,        kResetting},
      {kResetting, kResetDone,     kOpening},
      {kResetting, kResetFailed,   kFailed},
      {kFailed,    kOpen,          kOpening},   // tried again
      {kFailed,    kReset,         kClosing},   // nothing is leased: nobody to wait for
  });
}();
// clang-format on

constexpr std::optional<BufferState> Next(BufferState from, BufferEvent on) {
  return NextIn<BufferState, BufferEvent>(kBufferTransitions, from, on);
}
constexpr std::optional<LeaseState> Next(LeaseState from, LeaseEvent on) {
  return NextIn<LeaseState, LeaseEvent>(kLeaseTransitions, from, on);
}
constexpr std::optional<SessionState> Next(SessionState from, SessionEvent on) {
  return NextIn<SessionState, SessionEvent>(kSessionTransitions, from, on);
}
constexpr std::optional<DeviceState> Next(DeviceState from, DeviceEvent on) {
  return NextIn<DeviceState, DeviceEvent>(kDeviceTransitions, from, on);
}

static_assert(!Next(LeaseState::kActive, LeaseEvent::kDeadline));
static_assert(!Next(BufferState::kFreed, BufferEvent::kExported));

// Upper case, as people see them.
absl::string_view StateText(BufferState state);
absl::string_view StateText(LeaseState state);
absl::string_view StateText(SessionState state);
absl::string_view StateText(DeviceState state);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_STATES_H_
