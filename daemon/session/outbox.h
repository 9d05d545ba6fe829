// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_SESSION_OUTBOX_H_
#define HLBUF_DAEMON_SESSION_OUTBOX_H_

#include <cstdint>
#include <deque>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/core/broker.h"
#include "daemon/session/codec.h"

namespace hlbuf {

// Answers that carry descriptors are kept as leases, not as descriptors: what is sent later is
// looked up again then, so that no descriptor of a buffer that was revoked meanwhile goes out.
struct PendingAllocated {
  std::uint64_t cookie = 0;
  LeaseId lease;
};
struct PendingOpened {
  std::uint64_t cookie = 0;
  std::vector<absl::StatusOr<Grant>> results;
};
// The descriptor of the epoch page, if there is one for the peer, comes along.
struct PendingWelcome {
  std::uint64_t cookie = 0;
  hlbuf_wire_opcode opcode = HLBUF_WIRE_WELCOME;  // or REATTACHED
};
struct PendingFrame {
  std::vector<std::byte> bytes;
  std::string device;  // of a DEVICE notice: the next one of that device replaces it
};

// What could not be sent yet, in order. Bounded: while it is not empty the session reads no
// requests, so that it holds at most the answers to what was read ahead, one REVOKE frame per 1,024
// leases and revocation, and one DEVICE notice per device.
class Outbox {
 public:
  using Item = std::variant<PendingFrame, PendingWelcome, PendingAllocated, PendingOpened>;

  bool empty() const { return items_.empty(); }
  Item& front() { return items_.front(); }
  void Pop() { items_.pop_front(); }
  void Push(Item item) { items_.push_back(std::move(item)); }
  void PushFront(Item item) { items_.push_front(std::move(item)); }
  void PushFrame(Frame frame) {
    items_.emplace_back(PendingFrame{.bytes = {frame.begin(), frame.end()}});
  }
  // Replaces a notice about the same device that was not sent yet.
  void PushDevice(absl::string_view device, Frame frame);
  void Clear() { items_.clear(); }

 private:
  std::deque<Item> items_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_SESSION_OUTBOX_H_
