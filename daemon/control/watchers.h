// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_WATCHERS_H_
#define HLBUF_DAEMON_CONTROL_WATCHERS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/base/clock.h"
#include "daemon/control/event_feed.h"
#include "daemon/control/request_fields.h"
#include "daemon/control/role.h"
#include "daemon/core/deadlines.h"
#include "hlbuf/v1/events.pb.h"

namespace hlbuf {

// The way to one watcher. Broker thread.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // One at a time: the next one not before Watchers::OnTaken().
  virtual void Send(hlbuf::v1::WatchEventsResponse response) = 0;
  // The last call, and never while something that was sent has not been taken.
  virtual void End(const absl::Status& status) = 0;
};

// One stream of events. Whoever drops the last reference to it ends it, so that no stream is ever
// forgotten. Broker thread.
class Watch {
 public:
  explicit Watch(WatchSink& sink) : sink_(&sink) {}
  ~Watch();
  // Once nothing is on its way; the first call counts.
  void End(const absl::Status& status);
  bool ended() const { return sink_ == nullptr; }

 private:
  friend class Watchers;
  bool Wants(const Event& event) const;
  bool waits() const { return !sending_ && timer_ == Deadlines::Handle(); }

  WatchSink* sink_;  // null once it was told the end
  std::optional<absl::Status> end_;
  bool sending_ = false;
  Caller caller_;
  WantedValues kinds_;
  bool leases_ = false;
  std::string device_;
  std::uint64_t next_ = 1;
  std::uint64_t gap_told_ = 0;  // the last number of the newest gap
  absl::Time not_before_ = absl::InfinitePast();
  Deadlines::Handle timer_;
};

// Tells events to all watchers. A watcher has no queue: it reads from the feed when it can take
// more, and what the feed has forgotten by then is its gap. So the slowest one costs no more than
// its one response on the way.
//
// A watcher that has caught up is told what happens at once when it was told nothing for kPace,
// else then: a busy broker is watched by few large responses instead of many small ones.
class Watchers {
 public:
  static constexpr absl::Duration kPace = absl::Milliseconds(20);
  static constexpr std::size_t kEventsPerResponse = 128;

  Watchers(EventFeed& feed, const Clock& clock, Deadlines& deadlines)
      : feed_(feed), clock_(clock), deadlines_(deadlines) {}
  ~Watchers();

  // Begins with the response that says where the stream begins. Errors: INVALID_ARGUMENT.
  absl::Status Begin(const std::shared_ptr<Watch>& watch, Caller caller,
                     const hlbuf::v1::WatchEventsRequest& request);
  // The watcher took what was sent. Not `ok`: it is gone, and so is its watch.
  void OnTaken(const std::shared_ptr<Watch>& watch, bool ok);
  // Ends it, once nothing is on its way.
  void End(const std::shared_ptr<Watch>& watch, const absl::Status& status);
  void EndAll(const absl::Status& status);
  std::size_t size() const { return watches_.size(); }

 private:
  absl::StatusOr<std::uint64_t> ReadPosition(const hlbuf::v1::WatchEventsRequest& request) const;
  void OnEvent(const Event& event);
  // Tells it more from the loop, as soon as its pace allows.
  void TellSoon(Watch& watch);
  void Tell(Watch& watch);
  void Send(Watch& watch, hlbuf::v1::WatchEventsResponse response);
  void ListenAsWanted();

  EventFeed& feed_;
  const Clock& clock_;
  Deadlines& deadlines_;
  absl::flat_hash_set<std::shared_ptr<Watch>> watches_;
  std::optional<bool> listening_;  // with lease events or without; nullopt: not at all
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_WATCHERS_H_
