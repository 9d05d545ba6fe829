// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/watchdog.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {
namespace {

std::string Text(absl::Duration duration) { return absl::FormatDuration(duration); }

// nullopt: the file could not be read, or says something else.
std::optional<absl::Duration> InDebugfs(const Watchdog& watchdog) {
  std::uint32_t seconds = 0;
  if (!watchdog.seconds.ok() || !absl::SimpleAtoi(*watchdog.seconds, &seconds)) return std::nullopt;
  return absl::Seconds(seconds);
}

std::string TextOf(const Watchdog& watchdog) {
  return absl::StrCat("Linux ", watchdog.kernel, ": ", Text(watchdog.window), "; ",
                      watchdog.seconds.ok() ? absl::StrCat(watchdog.file, " is ", *watchdog.seconds)
                                            : WhyUnknown(watchdog.seconds.status()));
}

void Warn(Finding& finding, const std::string& evidence, std::string remedy) {
  finding.verdict = Verdict::kWarning;
  absl::StrAppend(&finding.evidence, evidence);
  finding.remedy = std::move(remedy);
}

void JudgeGrace(Finding& finding, absl::Duration window, const ServiceConfig& config) {
  const absl::Duration for_clients = window * 3 / 4;  // closing needs the rest
  absl::StrAppend(&finding.evidence, "; reset_grace is ", Text(config.reset_grace), " (",
                  config.path, ")");
  if (config.reset_grace <= for_clients) return;
  Warn(finding, absl::StrCat(", of which clients get ", Text(for_clients)),
       absl::StrCat("set reset_grace to ", Text(for_clients),
                    " or less, so that everybody knows what there is"));
}

}  // namespace

absl::Duration WindowOf(bool legacy, const std::string& kernel) {
  if (!legacy) return absl::Seconds(30);
  const auto version = KernelVersion(kernel);
  return version && *version >= std::pair{6U, 2U} ? absl::Seconds(5) : absl::ZeroDuration();
}

Watchdog ReadWatchdog(const Card& card, bool legacy, const std::string& kernel) {
  Watchdog watchdog{.kernel = kernel,
                    .window = WindowOf(legacy, kernel),
                    .file = card.debug + "/device_release_watchdog_timeout"};
  watchdog.seconds = FileText(watchdog.file);
  return watchdog;
}

Finding JudgeWatchdog(const std::string& pci, const Watchdog& watchdog,
                      const absl::StatusOr<ServiceConfig>& config) {
  Finding finding{.check = "watchdog", .on = pci, .verdict = Verdict::kOk};
  finding.evidence = TextOf(watchdog);
  const std::optional<absl::Duration> set = InDebugfs(watchdog);
  if (watchdog.window == absl::ZeroDuration()) {
    Warn(finding,
         ": resets come at once; clients get a few seconds while the driver waits for "
         "the card",
         "run Linux 6.7 or later, which waits 30 s");
  } else if (set && *set < watchdog.window) {
    Warn(finding, absl::StrCat(", but hl-bufd counts on ", Text(watchdog.window)),
         absl::StrCat("echo ", absl::ToInt64Seconds(watchdog.window), " > ", watchdog.file));
  } else if (config.ok()) {
    JudgeGrace(finding, watchdog.window, *config);
  } else {
    absl::StrAppend(&finding.evidence, "; reset_grace is unknown: ", WhyUnknown(config.status()));
    if (!set) {
      finding.verdict = Verdict::kUnknown;
      finding.remedy = HowToKnow(config.status());
    }
  }
  return finding;
}

}  // namespace hlbuf::ctl::doctor
