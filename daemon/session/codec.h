// SPDX-License-Identifier: Apache-2.0
// Frames of proto/hlbuf_wire.h to values and back. No state, no I/O: the fuzzer's favourite.
#ifndef HLBUF_DAEMON_SESSION_CODEC_H_
#define HLBUF_DAEMON_SESSION_CODEC_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "daemon/core/broker.h"
#include "proto/hlbuf_wire.h"

namespace hlbuf {

using Frame = absl::Span<const std::byte>;

// Every decoder refuses with PROTOCOL_ERROR what is structurally broken: the session is over. What
// is merely nonsense (an unknown name, size 0) is the broker's to refuse; the session goes on.
absl::StatusOr<hlbuf_wire_header> DecodeHeader(Frame frame);

struct Hello {
  std::uint32_t version = 0;
  std::uint64_t features = 0;
  std::string client;
};
absl::StatusOr<Hello> DecodeHello(Frame frame);
// One part of a REATTACH; what it names of leases and cookies is in `asked`.
struct ReattachPart {
  Hello hello;
  Reattachment asked;
  bool more = false;  // another part follows
};
absl::StatusOr<ReattachPart> DecodeReattach(Frame frame);
absl::StatusOr<AllocateRequest> DecodeAllocate(Frame frame);
// Names in `items` are borrowed from `frame`.
absl::Status DecodeOpen(Frame frame, std::vector<OpenItem>& items);
struct ShareRequest {
  BufferId buffer;
  Grantee grantee;
};
absl::StatusOr<ShareRequest> DecodeShare(Frame frame);
absl::Status DecodeRelease(Frame frame, std::vector<LeaseId>& leases);
absl::StatusOr<std::uint64_t> DecodePong(Frame frame);
// DEVICES has no fixed part of its own.
absl::Status DecodeBare(Frame frame);

hlbuf_wire_device_state WireState(DeviceState state);

// What WELCOME and REATTACHED tell.
struct Welcome {
  SessionId session;
  std::uint64_t features = 0;
  std::uint32_t batch_max = 0;
  std::uint32_t requests_max = 0;
  SessionSecret secret;
};

// Builds one frame in place. Reused: nothing is allocated, and only what is written is sent.
class FrameWriter {
 public:
  // Encoders; each returns the finished frame, valid until the next.
  // `opcode` is WELCOME or REATTACHED.
  Frame Welcome(std::uint64_t cookie, hlbuf_wire_opcode opcode, const hlbuf::Welcome& welcome);
  Frame Allocated(std::uint64_t cookie, const Grant& grant);
  // Each refused item gets an equal part of the room that is left for texts; a longer text is cut.
  Frame Opened(std::uint64_t cookie, absl::Span<const absl::StatusOr<Grant>> results);
  Frame Bare(std::uint64_t cookie, hlbuf_wire_opcode opcode);
  Frame Error(std::uint64_t cookie, const absl::Status& status);
  // As many devices as fit: 188 with the longest names.
  Frame DeviceList(std::uint64_t cookie, const Broker& broker);
  // At most HLBUF_WIRE_LEASES_MAX leases.
  Frame Revoke(RevokeReason reason, absl::Time deadline, absl::Span<const RevokedLease> leases);
  Frame Device(absl::string_view name, DeviceState state, std::uint64_t epoch);
  Frame Ping(std::uint64_t nonce);
  Frame Goodbye(hlbuf_wire_goodbye_reason reason, bool leases_kept, absl::string_view text);

 private:
  // Begins a frame with a cleared `Fixed`, whose header is filled in by Finish().
  template <class Fixed>
  Fixed& Begin(std::uint64_t cookie, hlbuf_wire_opcode opcode);
  template <class Item>
  Item& Append();
  // How much of `text` fits and was written.
  std::size_t AppendText(absl::string_view text);
  Frame Finish();

  alignas(8) std::array<std::byte, HLBUF_WIRE_FRAME_BYTES_MAX> bytes_;
  std::size_t size_ = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_SESSION_CODEC_H_
