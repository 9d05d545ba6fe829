// SPDX-License-Identifier: Apache-2.0
// Every decoder of the data plane, with any bytes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "daemon/session/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  // A packet buffer is aligned, and no longer than this.
  if (size > HLBUF_WIRE_FRAME_BYTES_MAX) return 0;
  alignas(8) static std::byte packet[HLBUF_WIRE_FRAME_BYTES_MAX];
  const auto* from = reinterpret_cast<const std::byte*>(bytes);
  std::copy(from, from + size, packet);
  const hlbuf::Frame frame(packet, size);
  if (!hlbuf::DecodeHeader(frame).ok()) return 0;
  static_cast<void>(hlbuf::DecodeHello(frame));
  static_cast<void>(hlbuf::DecodeAllocate(frame));
  static_cast<void>(hlbuf::DecodeShare(frame));
  static_cast<void>(hlbuf::DecodePong(frame));
  hlbuf::DecodeBare(frame).IgnoreError();
  std::vector<hlbuf::OpenItem> items;
  std::size_t name_bytes = 0;
  if (hlbuf::DecodeOpen(frame, items).ok())
    for (const hlbuf::OpenItem& item : items) name_bytes += item.name.size();
  std::vector<hlbuf::LeaseId> leases;
  hlbuf::DecodeRelease(frame, leases).IgnoreError();
  return name_bytes > HLBUF_WIRE_BATCH_MAX * size ? 1 : 0;
}
