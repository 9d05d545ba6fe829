// SPDX-License-Identifier: Apache-2.0
// Every decoder of the data plane, with any bytes.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "daemon/session/codec.h"
#include "daemon/session/reattach_parts.h"

namespace {

void CheckInside(hlbuf::Frame frame, absl::string_view name) {
  const auto* const begin = reinterpret_cast<const char*>(frame.data());
  if (name.empty() || (name.data() >= begin && name.data() + name.size() <= begin + frame.size()))
    return;
  std::fprintf(stderr, "frame_fuzz: a name lies outside of its frame\n");
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size > HLBUF_WIRE_FRAME_BYTES_MAX) return 0;
  // Of just this size, so that a read beyond it is seen; aligned, as a packet buffer is.
  const auto packet = std::make_unique<std::byte[]>(size);
  std::memcpy(packet.get(), bytes, size);
  const hlbuf::Frame frame(packet.get(), size);
  if (!hlbuf::DecodeHeader(frame).ok()) return 0;
  static_cast<void>(hlbuf::DecodeHello(frame));
  static_cast<void>(hlbuf::DecodeAllocate(frame));
  if (absl::StatusOr<hlbuf::ReattachPart> part = hlbuf::DecodeReattach(frame); part.ok()) {
    hlbuf::ReattachParts parts(1, HLBUF_WIRE_LEASES_MAX);
    if (parts.Add(1, *part).ok()) parts.Add(1, *std::move(part)).IgnoreError();
  }
  static_cast<void>(hlbuf::DecodeShare(frame));
  static_cast<void>(hlbuf::DecodePong(frame));
  hlbuf::DecodeBare(frame).IgnoreError();
  std::vector<hlbuf::OpenItem> items;
  if (hlbuf::DecodeOpen(frame, items).ok())
    for (const hlbuf::OpenItem& item : items) CheckInside(frame, item.name);
  std::vector<hlbuf::LeaseId> leases;
  hlbuf::DecodeRelease(frame, leases).IgnoreError();
  return 0;
}
