// SPDX-License-Identifier: Apache-2.0
#include "daemon/keeper/keeper_request.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace hlbuf {
namespace {

std::vector<std::byte> Packet(std::uint32_t verb, std::uint32_t items = 0,
                              std::size_t following_bytes = 0) {
  const hlbuf_keeper_message message = {
      .version = HLBUF_KEEPER_VERSION, .verb = verb, .cookie = 7, .id = 9, .items = items};
  std::vector<std::byte> packet(sizeof(message) + following_bytes);
  std::memcpy(packet.data(), &message, sizeof(message));
  return packet;
}

bool IsMalformed(const std::vector<std::byte>& packet, std::size_t descriptors = 0) {
  return !ParseKeeperRequest(packet, descriptors).has_value();
}

TEST(KeeperRequest, HasThePathOfAnOpen) {
  const std::string path = "/dev/accel/accel0";
  std::vector<std::byte> packet =
      Packet(HLBUF_KEEPER_OPEN, static_cast<std::uint32_t>(path.size()), path.size());
  std::memcpy(packet.data() + sizeof(hlbuf_keeper_message), path.data(), path.size());
  const auto request = ParseKeeperRequest(packet, 0);
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->path, path);
  EXPECT_EQ(request->message.cookie, 7u);
}

TEST(KeeperRequest, HasTheIdOfAKeepThatBringsOneDescriptor) {
  const auto request = ParseKeeperRequest(Packet(HLBUF_KEEPER_KEEP), 1);
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->message.id, 9u);
  EXPECT_TRUE(IsMalformed(Packet(HLBUF_KEEPER_KEEP), 0));
  EXPECT_TRUE(IsMalformed(Packet(HLBUF_KEEPER_KEEP), 2));
}

TEST(KeeperRequest, HasTheIdsOfADropUpToAsManyAsOneMayHave) {
  for (const std::uint32_t count : {0, 1, HLBUF_KEEPER_IDS_MAX - 1, +HLBUF_KEEPER_IDS_MAX}) {
    std::vector<std::uint64_t> ids(count);
    for (std::uint32_t i = 0; i < count; ++i) ids[i] = ~std::uint64_t{i};
    std::vector<std::byte> packet = Packet(HLBUF_KEEPER_DROP, count, count * sizeof(ids[0]));
    if (count != 0)
      std::memcpy(packet.data() + sizeof(hlbuf_keeper_message), ids.data(), count * sizeof(ids[0]));
    const auto request = ParseKeeperRequest(packet, 0);
    ASSERT_TRUE(request.has_value());
    EXPECT_EQ(request->ids, ids);
  }
}

TEST(KeeperRequest, OfMoreItemsThanItsVerbTakesIsMalformed) {
  constexpr std::uint32_t kIds = HLBUF_KEEPER_IDS_MAX + 1;
  EXPECT_TRUE(IsMalformed(Packet(HLBUF_KEEPER_DROP, kIds, kIds * sizeof(std::uint64_t))));
  constexpr std::uint32_t kBytes = HLBUF_KEEPER_PATH_BYTES_MAX + 1;
  EXPECT_TRUE(IsMalformed(Packet(HLBUF_KEEPER_OPEN, kBytes, kBytes)));
  // Times the size of an item it would be 0 in 32 bits.
  EXPECT_TRUE(IsMalformed(Packet(HLBUF_KEEPER_DROP, 0x20000000u, 0)));
}

TEST(KeeperRequest, OfAnyLengthButItsOwnIsMalformed) {
  for (std::size_t bytes = 0; bytes < sizeof(hlbuf_keeper_message); ++bytes) {
    std::vector<std::byte> packet = Packet(HLBUF_KEEPER_COUNT);
    packet.resize(bytes);
    EXPECT_TRUE(IsMalformed(packet)) << bytes;
  }
  EXPECT_TRUE(IsMalformed(Packet(HLBUF_KEEPER_DROP, 2, 15)));
  EXPECT_TRUE(IsMalformed(Packet(HLBUF_KEEPER_DROP, 2, 17)));
  EXPECT_TRUE(IsMalformed(Packet(HLBUF_KEEPER_OPEN, 5, 4)));
  for (const std::uint32_t verb : {HLBUF_KEEPER_DROP_ALL, HLBUF_KEEPER_COUNT})
    EXPECT_TRUE(IsMalformed(Packet(verb, 0, 1)));
  EXPECT_TRUE(IsMalformed(Packet(HLBUF_KEEPER_KEEP, 1, 8), 1));
}

TEST(KeeperRequest, WithADescriptorWhereNoneBelongsIsMalformed) {
  for (const std::uint32_t verb :
       {HLBUF_KEEPER_OPEN, HLBUF_KEEPER_DROP, HLBUF_KEEPER_DROP_ALL, HLBUF_KEEPER_COUNT}) {
    EXPECT_FALSE(IsMalformed(Packet(verb), 0)) << verb;
    EXPECT_TRUE(IsMalformed(Packet(verb), 1)) << verb;
  }
}

TEST(KeeperRequest, OfALaterKindIsLeftToTheCallerToRefuse) {
  EXPECT_FALSE(IsMalformed(Packet(77, 5, 123), 3));
  std::vector<std::byte> packet = Packet(HLBUF_KEEPER_COUNT, 5, 123);
  constexpr std::uint32_t kLater = HLBUF_KEEPER_VERSION + 1;
  std::memcpy(packet.data(), &kLater, sizeof(kLater));
  EXPECT_FALSE(IsMalformed(packet, 3));
}

}  // namespace
}  // namespace hlbuf
