// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/event_reader.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

namespace hlbuf::ctl {

EventReader::EventReader(Stub& stub, const v1::WatchEventsRequest& request, Take take)
    : request_(request), take_(std::move(take)), done_fd_(::eventfd(0, EFD_CLOEXEC)) {
  stub.async()->WatchEvents(&context_, &request_, this);
  StartRead(&response_);
  StartCall();
}

EventReader::~EventReader() { ::close(done_fd_); }

void EventReader::OnReadDone(bool ok) {
  if (!ok) return;
  if (!take_(response_)) return context_.TryCancel();
  StartRead(&response_);
}

void EventReader::OnDone(const grpc::Status& status) {
  status_ = status;
  ::eventfd_write(done_fd_, 1);
}

}  // namespace hlbuf::ctl
