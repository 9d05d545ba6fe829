// SPDX-License-Identifier: Apache-2.0
// MESSAGE_ID of what an administrator looks for in the journal; systemd/hl-bufd.catalog explains
// each of them, and never does one change its meaning.
#ifndef HLBUF_DAEMON_OBSERVE_MESSAGE_IDS_H_
#define HLBUF_DAEMON_OBSERVE_MESSAGE_IDS_H_

#include <array>

#include "absl/strings/string_view.h"

namespace hlbuf {

inline constexpr absl::string_view kResetBegan = "a6ea737783484493a71bcbe36a3e2c20";
inline constexpr absl::string_view kDeviceReady = "ca1e21fbb3ad4782b8fec7ecee78b4c2";
inline constexpr absl::string_view kDeviceDrained = "228df65526dd4d4aa7e8c97b5282b60b";
inline constexpr absl::string_view kDeviceFailed = "d0921efd02a54c49b7e4d9a5112dcc7c";
inline constexpr absl::string_view kBufferHeld = "c873a50d55cd472186221fcce34fb735";
inline constexpr absl::string_view kHoldersNamed = "1f4b6afbbec3416694bcf315b9edaca2";
inline constexpr absl::string_view kSignalSent = "d2d8ddb5a48842ee8242a0ed9ec0b35c";
inline constexpr absl::string_view kOpenerDied = "ce38581a66e945cd8efb0e32caae32c8";
inline constexpr absl::string_view kStateSetAside = "0bead3da92984a489e20283f8efb4e67";
inline constexpr absl::string_view kDidNotComeBack = "793fccd9af1346deae24ce28ea3a5ae8";
inline constexpr absl::string_view kJournalBroken = "0ae5308e64884633928bc0dc6aee97b7";
inline constexpr absl::string_view kNotStored = "148449ef0f634e978a7829135ec927d7";
inline constexpr absl::string_view kCopiesLost = "47ebe6e196554efbbac958d6c9f482a8";
inline constexpr absl::string_view kConfigurationRefused = "723625cf96674893876e73586557dbcc";

inline constexpr std::array kMessageIds = {
    kResetBegan,    kDeviceReady, kDeviceDrained, kDeviceFailed,        kBufferHeld,
    kHoldersNamed,  kSignalSent,  kOpenerDied,    kStateSetAside,       kDidNotComeBack,
    kJournalBroken, kNotStored,   kCopiesLost,    kConfigurationRefused};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_OBSERVE_MESSAGE_IDS_H_
