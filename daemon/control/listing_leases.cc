// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "daemon/base/status_macros.h"
#include "daemon/control/listing.h"
#include "daemon/control/page.h"
#include "daemon/control/request_fields.h"
#include "daemon/control/to_proto.h"
#include "daemon/control/visibility.h"

namespace hlbuf {
namespace v1 = hlbuf::v1;
namespace {

// Leases are ordered by their buffer, then by id: walked in this order they need no index of their
// own.
using LeaseKey = std::pair<BufferId, LeaseId>;

LeaseKey KeyOf(const LeaseRecord& lease) { return {lease.buffer->id, lease.id}; }

std::string KeyText(const LeaseKey& key) {
  return absl::StrCat(IdText(key.first), ":", IdText(key.second));
}

absl::StatusOr<LeaseKey> AfterLease(const Page& page) {
  if (page.after.empty()) return LeaseKey();
  const std::vector<absl::string_view> parts = absl::StrSplit(page.after, ':');
  if (parts.size() != 2) return BadPageToken();
  const std::optional<std::uint64_t> buffer = ParseIdText(parts[0]), lease = ParseIdText(parts[1]);
  if (!buffer.has_value() || !lease.has_value()) return BadPageToken();
  return LeaseKey(BufferId{*buffer}, LeaseId{*lease});
}

struct Filter {
  WantedValues states;
  BufferId buffer;
  SessionId session;
};

absl::StatusOr<Filter> ReadFilter(const v1::ListLeasesRequest& request) {
  Filter filter;
  ASSIGN_OR_RETURN(filter.states,
                   WantedValues::Read("states", request.states(), v1::LeaseState_IsValid));
  if (!request.buffer_id().empty()) {
    ASSIGN_OR_RETURN(filter.buffer.value, ReadId("buffer_id", request.buffer_id()));
  }
  if (!request.session_id().empty()) {
    ASSIGN_OR_RETURN(filter.session.value, ReadId("session_id", request.session_id()));
  }
  return filter;
}

// Those of `leases` behind `after`; the first `sorted_max` of them in order, in front of the
// others.
std::vector<const LeaseRecord*> Behind(const LeaseKey& after, absl::Span<LeaseRecord* const> leases,
                                       std::size_t sorted_max) {
  std::vector<const LeaseRecord*> behind;
  for (const LeaseRecord* lease : leases)
    if (KeyOf(*lease) > after) behind.push_back(lease);
  const auto sorted = static_cast<std::ptrdiff_t>(std::min(behind.size(), sorted_max));
  std::partial_sort(
      behind.begin(), behind.begin() + sorted, behind.end(),
      [](const LeaseRecord* a, const LeaseRecord* b) { return KeyOf(*a) < KeyOf(*b); });
  return behind;
}

// One page of leases on its way.
class LeasePage {
 public:
  LeasePage(const Broker& broker, const Caller& caller, const v1::ListLeasesRequest& request,
            const Filter& filter, const Page& page, const LeaseKey& after)
      : caller_(caller),
        request_(request),
        filter_(filter),
        wall_(broker.ledger().clock),
        fill_(page, caller),
        after_(after),
        last_(after) {}

  // False: the page is full, and `leases` has more.
  //
  // They are looked at for their order, too, which counts in the end: a page gets on, however many
  // there are.
  bool Add(absl::Span<LeaseRecord* const> leases) {
    for (const LeaseRecord* lease : Behind(after_, leases, fill_.left_to_examine())) {
      if (!fill_.HasRoom()) return false;
      fill_.Examined();
      last_ = KeyOf(*lease);
      if (!Matches(*lease)) continue;
      fill_.Taken();
      *response_.add_leases() = ToProto(*lease, wall_);
    }
    fill_.Examined(leases.size());
    return true;
  }
  // A buffer counts as well: most may have no lease at all. False: the page is full before it.
  bool Enter(const BufferRecord& buffer) {
    if (!fill_.HasRoom()) return false;
    fill_.Examined();
    last_ = std::max(last_, LeaseKey(buffer.id, LeaseId()));
    return true;
  }
  v1::ListLeasesResponse Finish(bool more) && {
    if (more) response_.set_next_page_token(PageToken(QueryOf(request_), KeyText(last_)));
    return std::move(response_);
  }

 private:
  bool IsHolder(const Peer& peer) const {
    return (!request_.has_holder_uid() || peer.uid == request_.holder_uid()) &&
           (!request_.has_holder_container() || peer.container == request_.holder_container());
  }
  bool Matches(const LeaseRecord& lease) const {
    return (request_.device().empty() || lease.buffer->device->name() == request_.device()) &&
           filter_.states.Match(lease.state) &&
           (!filter_.buffer || lease.buffer->id == filter_.buffer) &&
           (!request_.has_owner_uid() || lease.buffer->owner->domain.uid == request_.owner_uid()) &&
           IsHolder(lease.session->peer) && MaySee(caller_, lease);
  }

  const Caller& caller_;
  const v1::ListLeasesRequest& request_;
  const Filter& filter_;
  WallTimes wall_;
  PageFill fill_;
  LeaseKey after_;
  LeaseKey last_;
  v1::ListLeasesResponse response_;
};

}  // namespace

absl::StatusOr<v1::ListLeasesResponse> ListLeases(const Broker& broker, const Caller& caller,
                                                  const v1::ListLeasesRequest& request) {
  ASSIGN_OR_RETURN(const Page page, ReadPage(request));
  ASSIGN_OR_RETURN(const LeaseKey after, AfterLease(page));
  ASSIGN_OR_RETURN(const Filter filter, ReadFilter(request));
  RETURN_IF_ERROR(CheckDevice(broker, caller, request.device()));
  const Ledger& ledger = broker.ledger();
  LeasePage leases(broker, caller, request, filter, page, after);
  if (filter.session) {
    const auto it = ledger.sessions.find(filter.session);
    const bool all = it == ledger.sessions.end() || leases.Add(it->second->leases);
    return std::move(leases).Finish(!all);
  }
  const auto& buffers = ledger.registry.in_order();
  auto it = buffers.lower_bound(std::max(after.first, filter.buffer));
  const auto is_wanted = [&] {
    return it != buffers.end() && (!filter.buffer || it->first == filter.buffer);
  };
  for (; is_wanted(); ++it)
    if (!leases.Enter(*it->second) || !leases.Add(it->second->leases)) break;
  return std::move(leases).Finish(is_wanted());
}

}  // namespace hlbuf
