// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/watch_stream.h"

#include <utility>

#include "daemon/control/rpc_status.h"

namespace hlbuf {

std::shared_ptr<Watch> WatchStream::MakeWatch() {
  auto watch = std::make_shared<Watch>(*this);
  watch_ = watch;
  return watch;
}

void WatchStream::Send(hlbuf::v1::WatchEventsResponse response) {
  response_ = std::move(response);
  StartWrite(&response_);
}

void WatchStream::End(const absl::Status& status) { Finish(ToGrpcStatus(status)); }

void WatchStream::OnWriteDone(bool ok) {
  poster_.Post([&watchers = watchers_, weak = watch_, ok] {
    if (const std::shared_ptr<Watch> watch = weak.lock()) watchers.OnTaken(watch, ok);
  });
}

void WatchStream::OnCancel() {
  poster_.Post([&watchers = watchers_, weak = watch_] {
    if (const std::shared_ptr<Watch> watch = weak.lock())
      watchers.End(watch, absl::CancelledError());
  });
}

void WatchStream::OnDone() {
  poster_.Post([slot = std::move(slot_)] {});
  delete this;
}

}  // namespace hlbuf
