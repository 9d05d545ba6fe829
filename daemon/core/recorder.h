// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_RECORDER_H_
#define HLBUF_DAEMON_CORE_RECORDER_H_

#include <cstddef>

#include "absl/status/status.h"
#include "daemon/core/backend.h"
#include "daemon/core/ids.h"
#include "daemon/core/records.h"

namespace hlbuf {

class Device;
struct RevocationReport;

// Remembers, over the end of this process, what the broker knows. Every change is written before
// anybody outside learns of it: before a descriptor, a notice or an answer is sent.
//
// A write takes the place of the earlier one of the same thing. Broker thread; never blocks. This
// one remembers nothing.
class Recorder {
 public:
  virtual ~Recorder() = default;

  // Makes room for `records` things that were not written before, so that writing them cannot fail;
  // what was written can be written again at any time.
  // Errors: QUOTA_EXCEEDED  there is no memory for more
  virtual absl::Status Reserve(std::size_t /*records*/) { return absl::OkStatus(); }

  virtual void Write(const Device&) {}
  virtual void Write(const SessionRecord&) {}
  virtual void Write(const BufferRecord&) {}
  virtual void Write(const LeaseRecord&) {}
  virtual void Write(const RevocationReport&) {}
  virtual void Write(const Device&, const DeviceNote&) {}

  virtual void Forget(SessionId) {}
  virtual void Forget(BufferId) {}
  virtual void Forget(LeaseId) {}
  virtual void Forget(RevocationId) {}

  // One that remembers nothing.
  static Recorder& None();
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_RECORDER_H_
