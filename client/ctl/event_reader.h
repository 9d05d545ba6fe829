// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_EVENT_READER_H_
#define HLBUF_CLIENT_CTL_EVENT_READER_H_

#include <grpcpp/grpcpp.h>

#include <functional>

#include "client/ctl/connection.h"

namespace hlbuf::ctl {

// One WatchEvents call. Outlives its call: destroy it when done_fd() is readable.
class EventReader final : public grpc::ClientReadReactor<v1::WatchEventsResponse> {
 public:
  // `take` is called on gRPC's threads, for one response after the other; false ends the call.
  using Take = std::function<bool(const v1::WatchEventsResponse&)>;

  EventReader(Stub& stub, const v1::WatchEventsRequest& request, Take take);
  ~EventReader() override;

  // Readable when the call is over; then status() is set.
  int done_fd() const { return done_fd_; }
  const grpc::Status& status() const { return status_; }

  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  const v1::WatchEventsRequest request_;
  const Take take_;
  const int done_fd_;
  grpc::ClientContext context_;
  v1::WatchEventsResponse response_;
  grpc::Status status_;
};

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_EVENT_READER_H_
