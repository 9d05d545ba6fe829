// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "daemon/core/epoch_page.h"
#include "daemon/core/error.h"
#include "daemon/session/codec.h"

namespace hlbuf {

static_assert(EpochPage::kMagic == HLBUF_WIRE_EPOCH_MAGIC);
static_assert(EpochPage::kFirstSlot == HLBUF_WIRE_EPOCH_FIRST_SLOT);

template <class Fixed>
Fixed& FrameWriter::Begin(std::uint64_t cookie, hlbuf_wire_opcode opcode) {
  static_assert(std::is_trivially_copyable_v<Fixed>);
  size_ = 0;
  Fixed& fixed = Append<Fixed>();
  auto& header = reinterpret_cast<hlbuf_wire_header&>(fixed);
  header.opcode = static_cast<std::uint16_t>(opcode);
  header.fixed_bytes = sizeof(Fixed);
  header.cookie = cookie;
  return fixed;
}

template <class Item>
Item& FrameWriter::Append() {
  auto* item = new (bytes_.data() + size_) Item{};
  size_ += sizeof(Item);
  return *item;
}

std::size_t FrameWriter::AppendText(absl::string_view text) {
  const std::size_t fits = std::min(text.size(), bytes_.size() - size_);
  std::memcpy(bytes_.data() + size_, text.data(), fits);
  size_ += fits;
  return fits;
}

Frame FrameWriter::Finish() {
  reinterpret_cast<hlbuf_wire_header*>(bytes_.data())->frame_bytes =
      static_cast<std::uint32_t>(size_);
  return {bytes_.data(), size_};
}

Frame FrameWriter::Welcome(std::uint64_t cookie, hlbuf_wire_opcode opcode,
                           const hlbuf::Welcome& welcome) {
  auto& frame = Begin<hlbuf_wire_welcome>(cookie, opcode);
  frame.version = HLBUF_WIRE_VERSION;
  frame.batch_max = welcome.batch_max;
  frame.features = welcome.features;
  frame.session_id = welcome.session.value;
  frame.frame_bytes_max = HLBUF_WIRE_FRAME_BYTES_MAX;
  frame.requests_max = welcome.requests_max;
  std::copy(welcome.secret.bytes.begin(), welcome.secret.bytes.end(), frame.secret);
  return Finish();
}

Frame FrameWriter::Allocated(std::uint64_t cookie, const Grant& grant) {
  auto& allocated = Begin<hlbuf_wire_allocated>(cookie, HLBUF_WIRE_ALLOCATED);
  allocated.buffer_id = grant.buffer.value;
  allocated.lease_id = grant.lease.value;
  allocated.size_bytes = grant.size_bytes;
  allocated.epoch = grant.epoch;
  allocated.epoch_slot = grant.epoch_slot;
  return Finish();
}

Frame FrameWriter::Opened(std::uint64_t cookie, absl::Span<const absl::StatusOr<Grant>> results) {
  auto& opened = Begin<hlbuf_wire_opened>(cookie, HLBUF_WIRE_OPENED);
  opened.item_count = static_cast<std::uint16_t>(results.size());
  opened.item_bytes = sizeof(hlbuf_wire_opened_item);
  auto* items = reinterpret_cast<hlbuf_wire_opened_item*>(bytes_.data() + size_);
  for (const absl::StatusOr<Grant>& result : results) {
    auto& item = Append<hlbuf_wire_opened_item>();
    if (!result.ok()) continue;
    ++opened.fd_count;
    item.buffer_id = result->buffer.value;
    item.lease_id = result->lease.value;
    item.size_bytes = result->size_bytes;
    item.epoch = result->epoch;
    item.epoch_slot = result->epoch_slot;
  }
  const std::size_t texts = size_;
  const std::size_t refused = results.size() - opened.fd_count;
  const std::size_t room = (bytes_.size() - texts) / std::max<std::size_t>(refused, 1);
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i].ok()) continue;
    items[i].status = static_cast<std::uint32_t>(ErrorCodeOf(results[i].status()));
    items[i].text_offset = static_cast<std::uint32_t>(size_ - texts);
    items[i].text_bytes =
        static_cast<std::uint16_t>(AppendText(results[i].status().message().substr(0, room)));
  }
  return Finish();
}

Frame FrameWriter::Bare(std::uint64_t cookie, hlbuf_wire_opcode opcode) {
  Begin<hlbuf_wire_header>(cookie, opcode);
  return Finish();
}

Frame FrameWriter::Error(std::uint64_t cookie, const absl::Status& status) {
  auto& error = Begin<hlbuf_wire_error>(cookie, HLBUF_WIRE_ERROR);
  error.status = static_cast<std::uint32_t>(ErrorCodeOf(status));
  error.text_bytes = static_cast<std::uint32_t>(AppendText(status.message()));
  return Finish();
}

Frame FrameWriter::DeviceList(std::uint64_t cookie, const Broker& broker) {
  auto& list = Begin<hlbuf_wire_device_list>(cookie, HLBUF_WIRE_DEVICE_LIST);
  list.item_bytes = sizeof(hlbuf_wire_device_item);
  std::size_t texts = 0;
  for (const auto& device : broker.devices()) {
    const BackendTraits& traits = device->traits();
    const std::size_t text_bytes = device->name().size() + traits.kind.size();
    if (size_ + sizeof(hlbuf_wire_device_item) + texts + text_bytes > bytes_.size()) break;
    auto& item = Append<hlbuf_wire_device_item>();
    item.epoch = device->epoch();
    item.total_bytes = traits.total_bytes;
    item.used_bytes = device->used_bytes();
    item.page_bytes = traits.page_bytes;
    item.state = static_cast<std::uint32_t>(WireState(device->state()));
    item.flags = static_cast<std::uint32_t>(
        (device.get() == broker.default_device() ? +HLBUF_WIRE_DEVICE_DEFAULT : 0) |
        (traits.cpu_map ? +HLBUF_WIRE_DEVICE_CPU_MAP : 0) |
        (traits.simulated ? +HLBUF_WIRE_DEVICE_SIMULATED : 0));
    item.name_offset = static_cast<std::uint32_t>(texts);
    item.name_bytes = static_cast<std::uint16_t>(device->name().size());
    item.kind_bytes = static_cast<std::uint16_t>(traits.kind.size());
    texts += text_bytes;
    ++list.item_count;
  }
  for (std::size_t i = 0; i < list.item_count; ++i) {
    AppendText(broker.devices()[i]->name());
    AppendText(broker.devices()[i]->traits().kind);
  }
  return Finish();
}

Frame FrameWriter::Revoke(RevokeReason reason, absl::Time deadline,
                          absl::Span<const RevokedLease> leases) {
  auto& revoke = Begin<hlbuf_wire_revoke>(0, HLBUF_WIRE_REVOKE);
  revoke.reason = static_cast<std::uint32_t>(reason);
  revoke.lease_count = static_cast<std::uint32_t>(leases.size());
  revoke.deadline_boottime_ns = static_cast<std::uint64_t>(absl::ToUnixNanos(deadline));
  revoke.item_bytes = sizeof(hlbuf_wire_revoked_lease);
  for (const RevokedLease& lease : leases) {
    auto& item = Append<hlbuf_wire_revoked_lease>();
    item.lease_id = lease.lease.value;
    item.buffer_id = lease.buffer.value;
  }
  return Finish();
}

Frame FrameWriter::Device(absl::string_view name, DeviceState state, std::uint64_t epoch) {
  auto& device = Begin<hlbuf_wire_device>(0, HLBUF_WIRE_DEVICE);
  device.epoch = epoch;
  device.state = static_cast<std::uint32_t>(WireState(state));
  device.name_bytes = static_cast<std::uint16_t>(AppendText(name));
  return Finish();
}

Frame FrameWriter::Ping(std::uint64_t nonce) {
  Begin<hlbuf_wire_ping>(0, HLBUF_WIRE_PING).nonce = nonce;
  return Finish();
}

Frame FrameWriter::Goodbye(hlbuf_wire_goodbye_reason reason, bool leases_kept,
                           absl::string_view text) {
  auto& goodbye = Begin<hlbuf_wire_goodbye>(0, HLBUF_WIRE_GOODBYE);
  goodbye.reason = static_cast<std::uint32_t>(reason);
  goodbye.leases_kept = leases_kept ? 1 : 0;
  goodbye.text_bytes = static_cast<std::uint32_t>(AppendText(text));
  return Finish();
}

hlbuf_wire_device_state WireState(DeviceState state) {
  switch (state) {
    case DeviceState::kAbsent:
      return HLBUF_WIRE_DEVICE_ABSENT;
    case DeviceState::kOpening:
      return HLBUF_WIRE_DEVICE_OPENING;
    case DeviceState::kReady:
      return HLBUF_WIRE_DEVICE_READY;
    case DeviceState::kRevoking:
      return HLBUF_WIRE_DEVICE_REVOKING;
    case DeviceState::kClosing:
      return HLBUF_WIRE_DEVICE_CLOSING;
    case DeviceState::kResetting:
      return HLBUF_WIRE_DEVICE_RESETTING;
    case DeviceState::kFailed:
      return HLBUF_WIRE_DEVICE_FAILED;
    case DeviceState::kDrained:
      return HLBUF_WIRE_DEVICE_DRAINED;
  }
  return HLBUF_WIRE_DEVICE_ABSENT;
}

}  // namespace hlbuf
