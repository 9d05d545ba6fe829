// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/crash_point.h"

#ifndef HLBUF_NO_CRASH_POINTS
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace hlbuf {
namespace {

std::atomic<std::size_t> armed = kCrashPoints.size();  // its place
std::atomic<std::int64_t> left = 0;                    // so many times it is passed

}  // namespace

absl::Status ArmCrashPoint(absl::string_view where) {
  const std::pair<std::string, std::string> words = absl::StrSplit(where, ':');
  std::int64_t count = 0;
  if (!absl::SimpleAtoi(words.second, &count) || count < 1)
    return absl::InvalidArgumentError(absl::StrCat("crash point '", where, "' is not NAME:COUNT"));
  for (std::size_t place = 0; place < kCrashPoints.size(); ++place) {
    if (words.first != kCrashPoints[place]) continue;
    left = count;
    armed = place;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("there is no crash point '", words.first, "'"));
}

void CrashPoint(CrashPointName point) {
  if (armed != point.place || left.fetch_sub(1) != 1) return;
  ::kill(::getpid(), SIGKILL);
}

}  // namespace hlbuf
#endif
