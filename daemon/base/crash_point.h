// SPDX-License-Identifier: Apache-2.0
// Where tests let the service die: around each step that the next process finds done, or not done.
// Without -DHLBUF_CRASH_POINTS=ON, so in what is released, nothing of this is left.
#ifndef HLBUF_DAEMON_BASE_CRASH_POINT_H_
#define HLBUF_DAEMON_BASE_CRASH_POINT_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hlbuf {

// All of them. A test crashes the service at each, and fails for one that is never passed.
inline constexpr auto kCrashPoints = std::to_array<const char*>({
    // daemon/session
    "before-grant",
    "after-grant",
    "before-revoke",
    "after-revoke",
    "before-release",
    "after-release",
    "before-reattach",
    "after-reattach",
    "after-reattached",
    "before-send-welcome",
    "after-send-welcome",
    "before-send-reattached",
    "after-send-reattached",
    "before-send-shared",
    "after-send-shared",
    "before-send-unshared",
    "after-send-unshared",
    "before-send-device-list",
    "after-send-device-list",
    "before-send-error",
    "after-send-error",
    "before-send-revoke",
    "after-send-revoke",
    "before-send-device",
    "after-send-device",
    // daemon/persist
    "before-journal-commit",
    "after-journal-commit",
    "before-put-device",
    "after-put-device",
    "before-put-session",
    "after-put-session",
    "before-erase-session",
    "after-erase-session",
    "before-put-buffer",
    "after-put-buffer",
    "before-erase-buffer",
    "after-erase-buffer",
    "before-put-lease",
    "after-put-lease",
    "before-erase-lease",
    "after-erase-lease",
    "before-put-revocation",
    "after-put-revocation",
    "before-erase-revocation",
    "after-erase-revocation",
    "before-put-note",
    "after-put-note",
    "before-erase-note",
    "after-erase-note",
    "before-put-shares",
    "after-put-shares",
    "before-erase-shares",
    "after-erase-shares",
    // daemon/device
    "before-keeper-keep",
    "after-keeper-keep",
    "before-keeper-drop-soon",
    "after-keeper-drop-soon",
    "before-keeper-question",
    "after-keeper-answer",
    "before-keeper-fetch",
    "after-keeper-fetch",
    "before-device-open",
    "after-device-open",
    "before-device-resume",
    "after-device-resume",
    "before-device-export",
    "after-device-export",
    "before-device-free",
    "after-device-free",
    "before-device-reset",
    "after-device-reset",
    "before-card-events",
    "after-card-events",
    "before-card-close",
    "after-card-drop",
    "after-card-close",
    "before-card-open",
    "after-card-open",
    // daemon/fd_store.cc
    "before-store-push",
    "after-store-push",
    "before-store-barrier",
    "after-store-barrier",
});

// One of kCrashPoints; another name does not compile.
struct CrashPointName {
  consteval CrashPointName(const char* name)  // NOLINT(google-explicit-constructor)
      : place(PlaceOf(name)) {}

  std::size_t place;

 private:
  static consteval std::size_t PlaceOf(const char* name) {
    for (std::size_t place = 0; place < kCrashPoints.size(); ++place)
      if (IsSame(kCrashPoints[place], name)) return place;
    throw "not in kCrashPoints";
  }
  static consteval bool IsSame(const char* one, const char* other) {
    for (; *one != '\0' && *one == *other; ++one) ++other;
    return *one == *other;
  }
};

#ifndef HLBUF_NO_CRASH_POINTS
// `where`: "NAME:COUNT". This process dies by SIGKILL, without another instruction of this thread,
// when it passes that point for the COUNTth time. Once, before there are other threads.
// Errors: INVALID_ARGUMENT
absl::Status ArmCrashPoint(absl::string_view where);
// Any thread.
void CrashPoint(CrashPointName point);
#else
inline void CrashPoint(CrashPointName /*point*/) {}
#endif

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_BASE_CRASH_POINT_H_
