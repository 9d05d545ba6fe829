// SPDX-License-Identifier: Apache-2.0
#include "daemon/keeper/keeper_request.h"

#include <cstring>

namespace hlbuf {
namespace {

struct Shape {
  std::uint32_t verb;
  std::size_t item_bytes;
  std::uint32_t items_max;
  std::size_t descriptors;
};
constexpr Shape kShapes[] = {
    {HLBUF_KEEPER_OPEN, 1, HLBUF_KEEPER_PATH_BYTES_MAX, 0},
    {HLBUF_KEEPER_KEEP, 0, 0, 1},
    {HLBUF_KEEPER_DROP, sizeof(std::uint64_t), HLBUF_KEEPER_IDS_MAX, 0},
    {HLBUF_KEEPER_DROP_ALL, 0, 0, 0},
    {HLBUF_KEEPER_COUNT, 0, 0, 0},
    {HLBUF_KEEPER_FETCH, 0, 0, 0},
};

const Shape* Find(const hlbuf_keeper_message& message) {
  if (message.version != HLBUF_KEEPER_VERSION) return nullptr;
  for (const Shape& shape : kShapes)
    if (shape.verb == message.verb) return &shape;
  return nullptr;
}

bool Fits(const Shape& shape, std::uint32_t items, std::size_t following_bytes,
          std::size_t descriptors) {
  return items <= shape.items_max && following_bytes == items * shape.item_bytes &&
         descriptors == shape.descriptors;
}

}  // namespace

std::optional<KeeperRequest> ParseKeeperRequest(std::span<const std::byte> packet,
                                                std::size_t descriptors) {
  KeeperRequest request;
  if (packet.size() < sizeof(request.message)) return std::nullopt;
  std::memcpy(&request.message, packet.data(), sizeof(request.message));
  const Shape* const shape = Find(request.message);
  if (shape == nullptr) return request;
  const std::span<const std::byte> following = packet.subspan(sizeof(request.message));
  if (!Fits(*shape, request.message.items, following.size(), descriptors)) return std::nullopt;

  if (shape->verb == HLBUF_KEEPER_OPEN)
    request.path.assign(reinterpret_cast<const char*>(following.data()), following.size());
  if (shape->verb == HLBUF_KEEPER_DROP && !following.empty()) {
    request.ids.resize(request.message.items);
    std::memcpy(request.ids.data(), following.data(), following.size());
  }
  return request;
}

}  // namespace hlbuf
