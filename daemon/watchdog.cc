// SPDX-License-Identifier: Apache-2.0
#include "daemon/watchdog.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/log.h"

namespace hlbuf {
namespace {

constexpr int kTimesInPatience = 4;

}  // namespace

Watchdog::Watchdog(absl::Duration patience, Poster& poster, const Clock& clock, Probe probe,
                   Notify notify)
    : patience_(patience),
      poster_(poster),
      clock_(clock),
      probe_(std::move(probe)),
      notify_(std::move(notify)),
      next_(clock.Now() + patience / kTimesInPatience),
      told_(clock.Now()) {}

void Watchdog::RunDeadlines() {
  const absl::Time now = clock_.Now();
  if (now < next_) return;
  next_ = now + patience_ / kTimesInPatience;
  if (asking_) return Complain("has not answered yet");
  Ask();
}

void Watchdog::Ask() {
  asking_ = true;
  poster_.Post([this] { probe_([this](bool serves) { OnAnswer(serves); }); });
}

void Watchdog::OnAnswer(bool serves) {
  asking_ = false;
  if (next_ == absl::InfiniteFuture()) return;
  if (!serves) return Complain("answers that it does not serve");
  told_ = clock_.Now();
  notify_("WATCHDOG=1");
}

void Watchdog::Complain(const char* what) const {
  Log(LogLevel::kWarning,
      absl::StrCat("watchdog: the control server ", what, "; the service manager restarts hl-bufd ",
                   absl::FormatDuration(told_ + patience_ - clock_.Now()),
                   " from now if that does not end"));
}

}  // namespace hlbuf
