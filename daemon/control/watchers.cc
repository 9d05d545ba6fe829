// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/watchers.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/control/to_proto.h"
#include "daemon/control/visibility.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

bool IsPerGrant(EventKind kind) {
  return kind == EventKind::kLeaseGranted || kind == EventKind::kLeaseEnded;
}

}  // namespace

Watch::~Watch() {
  if (!sending_) End(Error(ErrorCode::kShuttingDown, "the service ends"));
}

void Watch::End(const absl::Status& status) {
  if (ended()) return;
  if (!end_.has_value()) end_ = status;
  if (!sending_) std::exchange(sink_, nullptr)->End(*end_);
}

bool Watch::Wants(const Event& event) const {
  if (kinds_.empty() ? IsPerGrant(event.kind) : !kinds_.Match(event.kind)) return false;
  return (device_.empty() || event.device == device_) && MaySee(caller_, event);
}

Watchers::~Watchers() {
  for (const auto& watch : watches_) deadlines_.Cancel(watch->timer_);
  if (listening_.has_value()) feed_.Ignore();
}

absl::StatusOr<std::uint64_t> Watchers::ReadPosition(
    const hlbuf::v1::WatchEventsRequest& request) const {
  const std::uint64_t next = request.next();
  if (request.life().empty()) {
    if (next == 0) return feed_.next();
    return Error(ErrorCode::kInvalidArgument,
                 "next is set without life; give both as the last response had them, or neither");
  }
  ASSIGN_OR_RETURN(const std::uint64_t life, ReadId("life", request.life()));
  if (life != feed_.life()) return 1;
  if (next >= 1 && next <= feed_.next()) return next;
  return Error(ErrorCode::kInvalidArgument,
               absl::StrCat("next is ", next, "; in this life it is from 1 to ", feed_.next()));
}

absl::Status Watchers::Begin(const std::shared_ptr<Watch>& watch, Caller caller,
                             const hlbuf::v1::WatchEventsRequest& request) {
  ASSIGN_OR_RETURN(watch->kinds_,
                   WantedValues::Read("kinds", request.kinds(), hlbuf::v1::EventKind_IsValid));
  ASSIGN_OR_RETURN(watch->next_, ReadPosition(request));
  watch->leases_ =
      watch->kinds_.Names(EventKind::kLeaseGranted) || watch->kinds_.Names(EventKind::kLeaseEnded);
  watch->caller_ = std::move(caller);
  watch->device_ = request.device();
  watches_.insert(watch);
  ListenAsWanted();
  Send(*watch, {});
  return absl::OkStatus();
}

void Watchers::OnTaken(const std::shared_ptr<Watch>& watch, bool ok) {
  watch->sending_ = false;
  if (!ok) return End(watch, absl::CancelledError());
  if (watch->end_.has_value()) return End(watch, *watch->end_);
  if (watch->next_ < feed_.next()) TellSoon(*watch);
}

void Watchers::End(const std::shared_ptr<Watch>& watch, const absl::Status& status) {
  deadlines_.Cancel(std::exchange(watch->timer_, {}));
  watch->End(status);
  if (!watch->ended()) return;  // OnTaken() comes back here
  watches_.erase(watch);
  ListenAsWanted();
}

void Watchers::EndAll(const absl::Status& status) {
  const std::vector<std::shared_ptr<Watch>> all(watches_.begin(), watches_.end());
  for (const auto& watch : all) End(watch, status);
}

// The feed is read later, from the loop: it is in the middle of telling this event.
//
// A watcher that waits has looked at everything before. What it does not want it has looked at now:
// else the feed would forget it in front of a watcher that missed nothing, and call that a gap.
void Watchers::OnEvent(const Event& event) {
  for (const auto& watch : watches_) {
    if (!watch->waits()) continue;
    if (watch->Wants(event))
      TellSoon(*watch);
    else
      watch->next_ = feed_.next();
  }
}

void Watchers::TellSoon(Watch& watch) {
  watch.timer_ = deadlines_.At(std::max(clock_.Now(), watch.not_before_), [this, &watch] {
    watch.timer_ = {};
    Tell(watch);
  });
}

void Watchers::Tell(Watch& watch) {
  EventFeed::Batch batch = feed_.Read(watch.next_, kEventsPerResponse, watch.leases_);
  watch.next_ = batch.next;
  hlbuf::v1::WatchEventsResponse response;
  if (batch.gap.has_value() && batch.gap->to > watch.gap_told_) {
    watch.gap_told_ = batch.gap->to;
    response.mutable_gap()->set_from(batch.gap->from);
    response.mutable_gap()->set_to(batch.gap->to);
  }
  const WallTimes wall(clock_);
  for (const EventFeed::Numbered& numbered : batch.events)
    if (watch.Wants(numbered.event))
      *response.add_events() = ToProto(numbered.sequence, numbered.event, wall);
  if (response.has_gap() || response.events_size() > 0)
    Send(watch, std::move(response));
  else if (watch.next_ < feed_.next())
    TellSoon(watch);
}

void Watchers::Send(Watch& watch, hlbuf::v1::WatchEventsResponse response) {
  response.set_life(IdText(feed_.life()));
  response.set_next(watch.next_);
  watch.sending_ = true;
  const bool behind = watch.next_ < feed_.next();
  watch.not_before_ = behind ? clock_.Now() : clock_.Now() + kPace;
  watch.sink_->Send(std::move(response));
}

void Watchers::ListenAsWanted() {
  const bool leases = std::any_of(watches_.begin(), watches_.end(),
                                  [](const auto& watch) { return watch->leases_; });
  const std::optional<bool> wanted = watches_.empty() ? std::nullopt : std::optional<bool>(leases);
  if (wanted == listening_) return;
  listening_ = wanted;
  if (wanted.has_value())
    feed_.Listen([this](const Event& event) { OnEvent(event); }, leases);
  else
    feed_.Ignore();
}

}  // namespace hlbuf
