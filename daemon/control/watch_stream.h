// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_WATCH_STREAM_H_
#define HLBUF_DAEMON_CONTROL_WATCH_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <memory>

#include "daemon/base/poster.h"
#include "daemon/control/caller_quota.h"
#include "daemon/control/watchers.h"

namespace hlbuf {

// A watcher on the other end of a gRPC stream. gRPC's threads only post; it deletes itself when
// gRPC is done with it, which is after End().
class WatchStream final : public grpc::ServerWriteReactor<hlbuf::v1::WatchEventsResponse>,
                          public WatchSink {
 public:
  WatchStream(Poster& poster, Watchers& watchers) : poster_(poster), watchers_(watchers) {}

  // The broker thread's end of it. Called once, by whoever makes the stream.
  std::shared_ptr<Watch> MakeWatch();
  // Broker thread: kept as long as the stream.
  void Hold(CallerQuota::Slot slot) { slot_ = std::move(slot); }

  void Send(hlbuf::v1::WatchEventsResponse response) override;
  void End(const absl::Status& status) override;

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  Poster& poster_;
  Watchers& watchers_;
  std::weak_ptr<Watch> watch_;
  CallerQuota::Slot slot_;
  hlbuf::v1::WatchEventsResponse response_;  // on its way
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_WATCH_STREAM_H_
