// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/visibility.h"

#include <algorithm>

namespace hlbuf {
namespace {

bool IsOf(const Caller& caller, const Domain& domain) {
  return caller.peer.known() && caller.peer.domain() == domain;
}

}  // namespace

bool MaySee(const Caller& caller, const BufferRecord& buffer) {
  if (MaySeeAll(caller) || IsOf(caller, buffer.owner->domain)) return true;
  return std::any_of(
      buffer.leases.begin(), buffer.leases.end(),
      [&caller](const LeaseRecord* lease) { return MaySee(caller, *lease->session); });
}

bool MaySee(const Caller& caller, const LostBuffer& lost) {
  if (MaySeeAll(caller) || IsOf(caller, lost.owner)) return true;
  return std::any_of(lost.holders.begin(), lost.holders.end(),
                     [&caller](const Holder& holder) { return IsOf(caller, holder.domain); });
}

std::size_t LeasesVisited(const Caller& caller, const BufferRecord& buffer) {
  return MaySeeAll(caller) || IsOf(caller, buffer.owner->domain) ? 0 : buffer.leases.size();
}

bool MaySee(const Caller& caller, const LeaseRecord& lease) {
  return MaySee(caller, *lease.session) || IsOf(caller, lease.buffer->owner->domain);
}

bool MaySee(const Caller& caller, const SessionRecord& session) {
  return MaySeeAll(caller) || IsOf(caller, session.account->domain);
}

bool MaySee(const Caller& caller, const Event& event) {
  if (MaySeeAll(caller)) return true;
  // Names processes that have nothing to do with the service.
  if (event.kind == EventKind::kHoldersFound) return false;
  if (IsOf(caller, event.domain)) return true;
  return event.kind == EventKind::kDeviceState && MaySeeDevices(caller);
}

}  // namespace hlbuf
