// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/core/names.h"
#include "daemon/session/codec.h"

namespace hlbuf {
namespace {

absl::Status Broken(absl::string_view what) { return Error(ErrorCode::kProtocolError, what); }

// Header and fixed part; what a newer peer appended to it is skipped, and what an older one does
// not have behind its `least_bytes` is zero. `trailing` is what follows.
template <class Fixed>
absl::StatusOr<Fixed> ReadFixed(Frame frame, Frame& trailing,
                                std::size_t least_bytes = sizeof(Fixed)) {
  Fixed fixed = {};
  const std::size_t fixed_bytes =
      reinterpret_cast<const hlbuf_wire_header*>(frame.data())->fixed_bytes;
  if (fixed_bytes < least_bytes)
    return Broken(absl::StrCat("fixed_bytes is ", fixed_bytes, ", below ", least_bytes));
  std::memcpy(&fixed, frame.data(), std::min(fixed_bytes, sizeof(Fixed)));
  trailing = frame.subspan(fixed_bytes);
  return fixed;
}

absl::string_view Text(Frame bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

absl::Status CheckTrailing(Frame trailing, std::size_t expected) {
  if (trailing.size() == expected) return absl::OkStatus();
  return Broken(
      absl::StrCat(trailing.size(), " bytes follow the fixed part, which counts ", expected));
}

// An array of u64, or of ids.
template <class Number>
std::vector<Number> Numbers(Frame bytes) {
  static_assert(sizeof(Number) == sizeof(std::uint64_t));
  std::vector<Number> numbers(bytes.size() / sizeof(Number));
  if (!numbers.empty()) std::memcpy(numbers.data(), bytes.data(), bytes.size());
  return numbers;
}

// `names_end` becomes the furthest end of a name so far.
absl::StatusOr<OpenItem> ReadOpenItem(Frame item_bytes, Frame names, std::size_t& names_end) {
  hlbuf_wire_open_item item;
  std::memcpy(&item, item_bytes.data(), sizeof(item));
  if (item.reserved != 0 || item.reserved2 != 0)
    return Broken("a reserved field of an OPEN item is not 0");
  if (item.name_offset > names.size() || item.name_bytes > names.size() - item.name_offset)
    return Broken("the name of an OPEN item lies outside of the frame");
  if ((item.buffer_id == 0) == (item.name_bytes == 0))
    return Broken("an OPEN item has both an id and a name, or neither");
  if (item.buffer_id != 0 && item.owner_uid != 0)
    return Broken("an OPEN item by id has an owner_uid");
  if (item.name_bytes != 0)
    names_end = std::max(names_end, std::size_t{item.name_offset} + item.name_bytes);
  return OpenItem{.id = BufferId{item.buffer_id},
                  .name = Text(names.subspan(item.name_offset, item.name_bytes)),
                  .owner_uid = item.owner_uid};
}

}  // namespace

absl::StatusOr<hlbuf_wire_header> DecodeHeader(Frame frame) {
  hlbuf_wire_header header;
  if (frame.size() < sizeof(header))
    return Broken(absl::StrCat("a frame of ", frame.size(), " bytes has no header"));
  std::memcpy(&header, frame.data(), sizeof(header));
  if (header.frame_bytes != frame.size())
    return Broken(
        absl::StrCat("frame_bytes is ", header.frame_bytes, " in a packet of ", frame.size()));
  if (header.fixed_bytes < sizeof(header) || header.fixed_bytes > frame.size() ||
      header.fixed_bytes % 8 != 0)
    return Broken(
        absl::StrCat("fixed_bytes is ", header.fixed_bytes, " in a frame of ", frame.size()));
  return header;
}

absl::StatusOr<Hello> DecodeHello(Frame frame) {
  Frame trailing;
  ASSIGN_OR_RETURN(const hlbuf_wire_hello fixed, ReadFixed<hlbuf_wire_hello>(frame, trailing));
  RETURN_IF_ERROR(CheckTrailing(trailing, fixed.client_bytes));
  if (trailing.size() > kNameBytesMax) return Broken("the client's name is too long");
  return Hello{
      .version = fixed.version, .features = fixed.features, .client = Printable(Text(trailing))};
}

absl::StatusOr<ReattachPart> DecodeReattach(Frame frame) {
  Frame trailing;
  ASSIGN_OR_RETURN(const hlbuf_wire_reattach fixed,
                   ReadFixed<hlbuf_wire_reattach>(frame, trailing));
  if (fixed.reserved != 0 || (fixed.flags & ~std::uint32_t{HLBUF_WIRE_REATTACH_MORE}) != 0)
    return Broken("a reserved field of REATTACH is not 0");
  if (fixed.lease_count > HLBUF_WIRE_LEASES_MAX || fixed.cookie_count > HLBUF_WIRE_COOKIES_MAX)
    return Broken(absl::StrCat("a part of REATTACH has ", fixed.lease_count, " leases and ",
                               fixed.cookie_count, " cookies; it takes ", +HLBUF_WIRE_LEASES_MAX,
                               " and ", +HLBUF_WIRE_COOKIES_MAX));
  if (fixed.client_bytes > kNameBytesMax) return Broken("the client's name is too long");
  const std::size_t leases_bytes = fixed.lease_count * sizeof(std::uint64_t);
  const std::size_t cookies_bytes = fixed.cookie_count * sizeof(std::uint64_t);
  RETURN_IF_ERROR(CheckTrailing(trailing, leases_bytes + cookies_bytes + fixed.client_bytes));
  ReattachPart part = {
      .hello = {.version = fixed.version,
                .features = fixed.features,
                .client = Printable(Text(trailing.subspan(leases_bytes + cookies_bytes)))},
      .asked = {.session = SessionId{fixed.session_id}},
      .more = fixed.flags != 0};
  std::copy_n(fixed.secret, sizeof(fixed.secret), part.asked.secret.bytes.begin());
  part.asked.held = Numbers<LeaseId>(trailing.subspan(0, leases_bytes));
  part.asked.unanswered = Numbers<std::uint64_t>(trailing.subspan(leases_bytes, cookies_bytes));
  return part;
}

absl::StatusOr<AllocateRequest> DecodeAllocate(Frame frame) {
  Frame trailing;
  ASSIGN_OR_RETURN(
      const hlbuf_wire_allocate fixed,
      ReadFixed<hlbuf_wire_allocate>(frame, trailing, offsetof(hlbuf_wire_allocate, wait_ms)));
  if (fixed.flags != 0 || fixed.reserved != 0 || fixed.reserved2 != 0)
    return Broken("a reserved field of ALLOCATE is not 0");
  const std::size_t name_bytes = fixed.name_bytes;
  const std::size_t device_bytes = fixed.device_bytes;
  RETURN_IF_ERROR(CheckTrailing(trailing, name_bytes + device_bytes + fixed.label_bytes));
  const absl::string_view text = Text(trailing);
  AllocateRequest request = {.size_bytes = fixed.size_bytes,
                             .name = std::string(text.substr(0, name_bytes)),
                             .device = std::string(text.substr(name_bytes, device_bytes)),
                             .wait = fixed.wait_ms == UINT32_MAX
                                         ? absl::InfiniteDuration()
                                         : absl::Milliseconds(fixed.wait_ms)};
  if (fixed.label_bytes > 0)
    request.labels = absl::StrSplit(text.substr(name_bytes + device_bytes), '\0');
  return request;
}

absl::Status DecodeOpen(Frame frame, std::vector<OpenItem>& items) {
  items.clear();
  Frame trailing;
  ASSIGN_OR_RETURN(const hlbuf_wire_open fixed, ReadFixed<hlbuf_wire_open>(frame, trailing));
  if (fixed.flags != 0) return Broken("a reserved field of OPEN is not 0");
  if (fixed.item_count == 0 || fixed.item_count > HLBUF_WIRE_BATCH_MAX)
    return Broken(absl::StrCat("OPEN has ", fixed.item_count, " items; 1 to ",
                               +HLBUF_WIRE_BATCH_MAX, " are taken"));
  const std::size_t item_bytes = fixed.item_bytes;
  if (item_bytes < sizeof(hlbuf_wire_open_item) || item_bytes % 8 != 0 ||
      item_bytes * fixed.item_count > trailing.size())
    return Broken("the items of OPEN do not fit into the frame");
  const Frame names = trailing.subspan(item_bytes * fixed.item_count);
  std::size_t names_end = 0;
  for (std::size_t i = 0; i < fixed.item_count; ++i) {
    ASSIGN_OR_RETURN(OpenItem item,
                     ReadOpenItem(trailing.subspan(i * item_bytes, item_bytes), names, names_end));
    items.push_back(item);
  }
  return CheckTrailing(names, names_end);
}

absl::StatusOr<ShareRequest> DecodeShare(Frame frame) {
  Frame trailing;
  ASSIGN_OR_RETURN(const hlbuf_wire_share fixed, ReadFixed<hlbuf_wire_share>(frame, trailing));
  RETURN_IF_ERROR(CheckTrailing(trailing, 0));
  if (fixed.grantee_kind != HLBUF_WIRE_GRANTEE_UID && fixed.grantee_kind != HLBUF_WIRE_GRANTEE_GID)
    return Broken(absl::StrCat("grantee_kind ", fixed.grantee_kind, " is unknown"));
  return ShareRequest{
      .buffer = BufferId{fixed.buffer_id},
      .grantee = {.kind = static_cast<Grantee::Kind>(fixed.grantee_kind), .id = fixed.grantee}};
}

absl::Status DecodeRelease(Frame frame, std::vector<LeaseId>& leases) {
  Frame trailing;
  ASSIGN_OR_RETURN(const hlbuf_wire_release fixed, ReadFixed<hlbuf_wire_release>(frame, trailing));
  if (fixed.reserved != 0) return Broken("a reserved field of RELEASE is not 0");
  if (fixed.lease_count == 0 || fixed.lease_count > HLBUF_WIRE_LEASES_MAX)
    return Broken(absl::StrCat("RELEASE has ", fixed.lease_count, " leases; 1 to ",
                               +HLBUF_WIRE_LEASES_MAX, " are taken"));
  RETURN_IF_ERROR(CheckTrailing(trailing, fixed.lease_count * sizeof(std::uint64_t)));
  leases.resize(fixed.lease_count);
  static_assert(sizeof(LeaseId) == sizeof(std::uint64_t));
  std::memcpy(leases.data(), trailing.data(), trailing.size());
  return absl::OkStatus();
}

absl::StatusOr<std::uint64_t> DecodePong(Frame frame) {
  Frame trailing;
  ASSIGN_OR_RETURN(const hlbuf_wire_ping fixed, ReadFixed<hlbuf_wire_ping>(frame, trailing));
  RETURN_IF_ERROR(CheckTrailing(trailing, 0));
  return fixed.nonce;
}

absl::Status DecodeBare(Frame frame) {
  Frame trailing;
  ASSIGN_OR_RETURN(const hlbuf_wire_header fixed, ReadFixed<hlbuf_wire_header>(frame, trailing));
  static_cast<void>(fixed);
  return CheckTrailing(trailing, 0);
}

}  // namespace hlbuf
