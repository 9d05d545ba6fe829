// SPDX-License-Identifier: Apache-2.0
#include "daemon/config_warnings.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace hlbuf {
namespace {

void WarnOfEnforcement(const Config& config, const MeansToSignal& means,
                       std::vector<std::string>& warnings) {
  const EnforcementSettings& enforcement = config.enforcement;
  if (enforcement.resets == Force::kNone && enforcement.revocations == Force::kNone) return;
  if (!means.other_users)
    warnings.push_back(
        "[enforcement] is on, and this service has no CAP_KILL: it cannot signal processes of "
        "other users; give its unit the drop-in enforcement.conf");
  if (!means.vouched_clients)
    warnings.push_back(
        "[enforcement] is on, and this kernel does not vouch for whose process a client is "
        "(SO_PEERPIDFD): nobody is ever signalled; that takes Linux 6.5");
  if (enforcement.resets != Force::kNone && config.timing.reset_grace < Enforcement::kLeastGrace)
    warnings.push_back(absl::StrCat(
        "[enforcement] resets is on, and reset_grace is ",
        absl::FormatDuration(config.timing.reset_grace), ": whoever is given less than ",
        absl::FormatDuration(Enforcement::kLeastGrace), " is never signalled; raise reset_grace"));
}

}  // namespace

std::vector<std::string> WarningsOf(const Config& config, const MeansToSignal& means) {
  std::vector<std::string> warnings;
  if (!config.sockets.clients_gid.has_value())
    warnings.push_back(
        absl::StrCat("there is no group ", config.sockets.clients_group,
                     "; only the service's own uid may allocate unless a [[rule]] allows it"));
  WarnOfEnforcement(config, means, warnings);
  return warnings;
}

}  // namespace hlbuf
