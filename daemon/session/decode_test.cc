// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"
#include "daemon/session/codec.h"
#include "tests/support/raw_client.h"

namespace hlbuf {
namespace {

using Bytes = std::vector<std::byte>;

hlbuf_wire_header& HeaderOf(Bytes& frame) {
  return *reinterpret_cast<hlbuf_wire_header*>(frame.data());
}

// `frame` with its length as its header has it.
Bytes Resized(Bytes frame, std::size_t bytes) {
  frame.resize(bytes);
  if (bytes >= sizeof(hlbuf_wire_header))
    HeaderOf(frame).frame_bytes = static_cast<std::uint32_t>(bytes);
  return frame;
}

// As a later version would send it: with `bytes` more in its fixed part.
Bytes Grown(Bytes frame, std::size_t bytes) {
  const std::size_t fixed_bytes = HeaderOf(frame).fixed_bytes;
  frame.insert(frame.begin() + static_cast<std::ptrdiff_t>(fixed_bytes), bytes, std::byte{0xab});
  HeaderOf(frame).fixed_bytes = static_cast<std::uint16_t>(fixed_bytes + bytes);
  return Resized(frame, frame.size());
}

template <class Fixed>
Bytes With(Bytes frame, const std::function<void(Fixed&)>& change) {
  change(*reinterpret_cast<Fixed*>(frame.data()));
  return frame;
}

template <class Item>
std::string AsText(const Item& item) {
  return {reinterpret_cast<const char*>(&item), sizeof(item)};
}

Bytes OpenOf(const std::vector<hlbuf_wire_open_item>& items, const std::string& names = "") {
  std::string trailing;
  for (const hlbuf_wire_open_item& item : items) trailing += AsText(item);
  return MakeFrame<hlbuf_wire_open>({.item_count = static_cast<std::uint16_t>(items.size()),
                                     .item_bytes = sizeof(hlbuf_wire_open_item)},
                                    HLBUF_WIRE_OPEN, 3, trailing + names);
}

Bytes AllocateOf(const std::string& name, const std::string& device, const std::string& labels) {
  return MakeFrame<hlbuf_wire_allocate>({.size_bytes = 4096,
                                         .name_bytes = static_cast<std::uint16_t>(name.size()),
                                         .device_bytes = static_cast<std::uint16_t>(device.size()),
                                         .label_bytes = static_cast<std::uint16_t>(labels.size())},
                                        HLBUF_WIRE_ALLOCATE, 2, name + device + labels);
}

Bytes HelloOf(const std::string& client) {
  return MakeFrame<hlbuf_wire_hello>(
      {.version = 7, .client_bytes = static_cast<std::uint32_t>(client.size()), .features = 0xf0f0},
      HLBUF_WIRE_HELLO, 1, client);
}

struct Decoder {
  std::string name;
  Bytes good;
  std::function<absl::Status(Frame)> decode;
};

absl::Status Decode(const Decoder& decoder, const Bytes& frame) {
  if (absl::Status header = DecodeHeader(frame).status(); !header.ok()) return header;
  return decoder.decode(frame);
}

std::vector<Decoder> Decoders() {
  return {
      {"HELLO", HelloOf("raw"), [](Frame f) { return DecodeHello(f).status(); }},
      {"ALLOCATE", AllocateOf("weights", "accel0", "a=b"),
       [](Frame f) { return DecodeAllocate(f).status(); }},
      {"OPEN by id", OpenFrame(3, {1, 2, 3}),
       [](Frame f) {
         std::vector<OpenItem> items;
         return DecodeOpen(f, items);
       }},
      {"OPEN by name", OpenNameFrame(3, "weights"),
       [](Frame f) {
         std::vector<OpenItem> items;
         return DecodeOpen(f, items);
       }},
      {"SHARE", ShareFrame(4, HLBUF_WIRE_SHARE, 9, HLBUF_WIRE_GRANTEE_GID, 100),
       [](Frame f) { return DecodeShare(f).status(); }},
      {"DEVICES", DevicesFrame(6), [](Frame f) { return DecodeBare(f); }},
      {"RELEASE", ReleaseFrame({1, 2, 3}),
       [](Frame f) {
         std::vector<LeaseId> leases;
         return DecodeRelease(f, leases);
       }},
      {"PONG", PongFrame(7), [](Frame f) { return DecodePong(f).status(); }},
  };
}

void ExpectBroken(const absl::Status& status, const std::string& what) {
  ASSERT_FALSE(status.ok()) << what;
  EXPECT_EQ(ErrorCodeOf(status), ErrorCode::kProtocolError) << what << ": " << status;
  EXPECT_FALSE(status.message().empty()) << what;
}

TEST(Decode, TakesEveryGoodFrame) {
  for (const Decoder& decoder : Decoders())
    EXPECT_TRUE(Decode(decoder, decoder.good).ok())
        << decoder.name << ": " << Decode(decoder, decoder.good);
}

// As clients sent it that could not wait.
TEST(Decode, TakesAnAllocateWithoutWhatWasAppendedToIt) {
  Bytes frame = AllocateFrame(7, 4096, "weights");
  HeaderOf(frame).fixed_bytes = 40;
  HeaderOf(frame).frame_bytes -= 8;
  frame.erase(frame.begin() + 40, frame.begin() + 48);
  const absl::StatusOr<AllocateRequest> request = DecodeAllocate(frame);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->name, "weights");
  EXPECT_EQ(request->wait, absl::ZeroDuration());
}

TEST(Decode, ReadsHowLongAnAllocateMayWait) {
  const auto wait = [](std::uint32_t wait_ms) {
    return DecodeAllocate(MakeFrame<hlbuf_wire_allocate>({.size_bytes = 1, .wait_ms = wait_ms},
                                                         HLBUF_WIRE_ALLOCATE, 7))
        ->wait;
  };
  EXPECT_EQ(wait(0), absl::ZeroDuration());
  EXPECT_EQ(wait(1500), absl::Milliseconds(1500));
  EXPECT_EQ(wait(UINT32_MAX), absl::InfiniteDuration());
}

TEST(Decode, SkipsWhatANewerPeerAppended) {
  for (const Decoder& decoder : Decoders())
    for (const std::size_t more : {8U, 64U, 4096U})
      EXPECT_TRUE(Decode(decoder, Grown(decoder.good, more)).ok()) << decoder.name << " " << more;
}

TEST(Decode, RefusesEveryFrameThatEndsEarly) {
  for (const Decoder& decoder : Decoders())
    for (std::size_t bytes = 0; bytes < decoder.good.size(); ++bytes)
      ExpectBroken(Decode(decoder, Resized(decoder.good, bytes)),
                   absl::StrCat(decoder.name, " of ", bytes, " bytes"));
}

TEST(Decode, RefusesBytesThatNothingCounts) {
  for (const Decoder& decoder : Decoders())
    ExpectBroken(Decode(decoder, Resized(decoder.good, decoder.good.size() + 1)), decoder.name);
}

TEST(Decode, RefusesAFixedPartShorterThanTheFirstVersions) {
  for (const Decoder& decoder : Decoders()) {
    Bytes frame = decoder.good;
    const std::uint16_t whole = HeaderOf(frame).fixed_bytes;
    for (std::uint16_t bytes = 0; bytes < whole; ++bytes) {
      HeaderOf(frame).fixed_bytes = bytes;
      ExpectBroken(Decode(decoder, frame), absl::StrCat(decoder.name, " fixed ", bytes));
    }
  }
}

// Whatever stands there, it is refused as broken or taken; nothing is read beyond the frame, which
// AddressSanitizer sees.
TEST(Decode, SurvivesAnyByteAnywhere) {
  for (const Decoder& decoder : Decoders()) {
    for (std::size_t at = 0; at < decoder.good.size(); ++at) {
      for (int value = 0; value < 256; value += 5) {
        Bytes frame = decoder.good;
        frame[at] = static_cast<std::byte>(value);
        const absl::Status status = Decode(decoder, frame);
        if (!status.ok()) ExpectBroken(status, absl::StrCat(decoder.name, " byte ", at));
      }
    }
  }
}

TEST(DecodeHeader, ReadsItsFields) {
  const auto header = DecodeHeader(HelloOf("raw"));
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->opcode, HLBUF_WIRE_HELLO);
  EXPECT_EQ(header->cookie, 1U);
}

TEST(DecodeHeader, RefusesEverySizeThatDoesNotFit) {
  const Bytes good = Resized(DevicesFrame(1), 64);
  for (const std::uint32_t bytes : {0U, 1U, 16U, 63U, 65U, 0xffffffffU})
    ExpectBroken(DecodeHeader(With<hlbuf_wire_header>(
                                  good, [&](auto& header) { header.frame_bytes = bytes; }))
                     .status(),
                 absl::StrCat("frame_bytes ", bytes));
  for (const auto bytes : std::vector<std::uint16_t>{0, 8, 15, 17, 20, 65, 72, 0xfff8, 0xffff})
    ExpectBroken(
        DecodeHeader(With<hlbuf_wire_header>(good, [&](auto& h) { h.fixed_bytes = bytes; }))
            .status(),
        absl::StrCat("fixed_bytes ", bytes));
  EXPECT_FALSE(DecodeHeader(Frame()).ok());
}

TEST(DecodeHello, ReadsItsFields) {
  const auto hello = DecodeHello(HelloOf("libhlbuf 1.2"));
  ASSERT_TRUE(hello.ok());
  EXPECT_EQ(hello->version, 7U);
  EXPECT_EQ(hello->features, 0xf0f0U);
  EXPECT_EQ(hello->client, "libhlbuf 1.2");
}

TEST(DecodeHello, LetsNoControlCharacterThrough) {
  EXPECT_EQ(DecodeHello(HelloOf(std::string("a\nb\0c\x1b[31m\xff", 11)))->client, "a?b?c?[31m?");
}

TEST(DecodeHello, TakesALongestNameAndRefusesALongerOne) {
  EXPECT_EQ(DecodeHello(HelloOf(std::string(63, 'x')))->client, std::string(63, 'x'));
  ExpectBroken(DecodeHello(HelloOf(std::string(64, 'x'))).status(), "64 bytes");
  EXPECT_EQ(DecodeHello(HelloOf(""))->client, "");
}

TEST(DecodeAllocate, ReadsItsFields) {
  const auto request = DecodeAllocate(AllocateOf("weights", "accel0", std::string("a=b\0c=", 6)));
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->size_bytes, 4096U);
  EXPECT_EQ(request->name, "weights");
  EXPECT_EQ(request->device, "accel0");
  EXPECT_EQ(request->labels, (std::vector<std::string>{"a=b", "c="}));
}

TEST(DecodeAllocate, MayNameNothing) {
  const auto request = DecodeAllocate(AllocateOf("", "", ""));
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->name + request->device, "");
  EXPECT_TRUE(request->labels.empty());
}

// What the texts say is the broker's to refuse; here they only have to be there.
TEST(DecodeAllocate, LeavesNonsenseToTheBroker) {
  const auto request = DecodeAllocate(
      AllocateOf(std::string(1000, 'n'), std::string("\0\n", 2), std::string("\0\0", 2)));
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->name.size(), 1000U);
  EXPECT_EQ(request->labels.size(), 3U);
}

TEST(DecodeAllocate, RefusesWhatIsReserved) {
  const Bytes good = AllocateOf("n", "d", "l=1");
  using Fixed = hlbuf_wire_allocate;
  for (const auto& change : std::vector<std::function<void(Fixed&)>>{
           [](Fixed& f) { f.flags = 1; }, [](Fixed& f) { f.flags = 1ULL << 63; },
           [](Fixed& f) { f.reserved = 1; }, [](Fixed& f) { f.name_bytes = 0xffff; },
           [](Fixed& f) { f.device_bytes = 0xffff; }, [](Fixed& f) { f.label_bytes = 0; }})
    ExpectBroken(DecodeAllocate(With(good, change)).status(), "ALLOCATE");
}

TEST(DecodeOpen, ReadsIdsAndNames) {
  // The second name is a part of the first.
  const Bytes frame = OpenOf({{.buffer_id = 77},
                              {.name_offset = 1, .name_bytes = 7, .owner_uid = 1000},
                              {.name_offset = 3, .name_bytes = 2, .owner_uid = 0}},
                             "_weights");
  std::vector<OpenItem> items(5);
  ASSERT_TRUE(DecodeOpen(frame, items).ok());
  ASSERT_EQ(items.size(), 3U);
  EXPECT_EQ(items[0].id, BufferId{77});
  EXPECT_TRUE(items[0].name.empty());
  EXPECT_FALSE(items[1].id);
  EXPECT_EQ(items[1].name, "weights");
  EXPECT_EQ(items[1].owner_uid, 1000U);
  EXPECT_EQ(items[2].name, "ig");
  EXPECT_EQ(items[2].owner_uid, 0U);
}

TEST(DecodeOpen, SkipsWhatANewerPeerAppendedToItems) {
  const hlbuf_wire_open_item item = {.name_offset = 2, .name_bytes = 1};
  const std::string later = AsText(item) + std::string(16, '\xab');
  const Bytes frame = MakeFrame<hlbuf_wire_open>({.item_count = 2, .item_bytes = 40},
                                                 HLBUF_WIRE_OPEN, 3, later + later + "xyz");
  std::vector<OpenItem> items;
  ASSERT_TRUE(DecodeOpen(frame, items).ok());
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[1].name, "z");
}

TEST(DecodeOpen, TakesALargestBatchAndRefusesALargerOne) {
  std::vector<OpenItem> items;
  EXPECT_TRUE(
      DecodeOpen(OpenOf(std::vector<hlbuf_wire_open_item>(253, {.buffer_id = 1})), items).ok());
  EXPECT_EQ(items.size(), 253U);
  for (const std::size_t count : {0U, 254U, 1000U})
    ExpectBroken(
        DecodeOpen(OpenOf(std::vector<hlbuf_wire_open_item>(count, {.buffer_id = 1})), items),
        absl::StrCat(count, " items"));
}

TEST(DecodeOpen, RefusesEveryItemThatContradictsItself) {
  const std::string names = "name";
  const std::vector<std::pair<std::string, hlbuf_wire_open_item>> broken = {
      {"neither id nor name", {}},
      {"both", {.buffer_id = 1, .name_bytes = 4}},
      {"reserved", {.buffer_id = 1, .reserved = 1}},
      {"reserved2", {.buffer_id = 1, .reserved2 = 1}},
      {"one byte too long", {.name_bytes = 5}},
      {"one byte too far", {.name_offset = 1, .name_bytes = 4}},
      {"beyond the frame", {.name_offset = 5, .name_bytes = 1}},
      {"wraps around", {.name_offset = 0xffffffff, .name_bytes = 2}},
      {"id with a place outside", {.buffer_id = 1, .name_offset = 5}},
      {"id with an owner", {.buffer_id = 1, .owner_uid = 1000}},
      {"id with the asker as owner", {.buffer_id = 1, .owner_uid = HLBUF_WIRE_OWNER_SELF}},
  };
  for (const auto& [what, item] : broken) {
    std::vector<OpenItem> items;
    ExpectBroken(DecodeOpen(OpenOf({{.buffer_id = 1}, {.name_bytes = 4}, item}, names), items),
                 what);
  }
}

TEST(DecodeOpen, RefusesBytesBehindTheLastName) {
  std::vector<OpenItem> items;
  EXPECT_TRUE(DecodeOpen(OpenOf({{.name_bytes = 4}, {.name_bytes = 2}}, "name"), items).ok());
  ExpectBroken(DecodeOpen(OpenOf({{.name_bytes = 3}, {.name_bytes = 2}}, "name"), items), "name");
  // A place alone takes nothing.
  ExpectBroken(DecodeOpen(OpenOf({{.buffer_id = 1, .name_offset = 4}}, "name"), items), "id");
}

TEST(DecodeOpen, RefusesSizesThatDoNotFit) {
  std::vector<OpenItem> items;
  const Bytes good = OpenOf({{.buffer_id = 1}, {.buffer_id = 2}});
  using Fixed = hlbuf_wire_open;
  for (const auto bytes : std::vector<std::uint16_t>{0, 8, 16, 23, 25, 28, 32, 0xfff8})
    ExpectBroken(DecodeOpen(With<Fixed>(good, [&](Fixed& f) { f.item_bytes = bytes; }), items),
                 absl::StrCat("item_bytes ", bytes));
  ExpectBroken(DecodeOpen(With<Fixed>(good, [](Fixed& f) { f.item_count = 3; }), items), "count");
  ExpectBroken(DecodeOpen(With<Fixed>(good, [](Fixed& f) { f.flags = 1; }), items), "flags");
}

TEST(DecodeShare, ReadsItsFields) {
  for (const auto kind : {HLBUF_WIRE_GRANTEE_UID, HLBUF_WIRE_GRANTEE_GID}) {
    const auto request = DecodeShare(ShareFrame(4, HLBUF_WIRE_UNSHARE, 9, kind, 100));
    ASSERT_TRUE(request.ok());
    EXPECT_EQ(request->buffer, BufferId{9});
    EXPECT_EQ(
        request->grantee,
        (Grantee{.kind = kind == HLBUF_WIRE_GRANTEE_UID ? Grantee::Kind::kUid : Grantee::Kind::kGid,
                 .id = 100}));
  }
}

TEST(DecodeShare, RefusesUnknownGrantees) {
  for (const std::uint32_t kind : {0U, 3U, 257U, 0xffffffffU})
    ExpectBroken(DecodeShare(ShareFrame(4, HLBUF_WIRE_SHARE, 9, kind, 100)).status(),
                 absl::StrCat("kind ", kind));
}

TEST(DecodeRelease, ReadsItsLeases) {
  std::vector<LeaseId> leases(9);
  ASSERT_TRUE(DecodeRelease(ReleaseFrame({5, 0, ~0ULL}), leases).ok());
  EXPECT_EQ(leases, (std::vector{LeaseId{5}, LeaseId{0}, LeaseId{~0ULL}}));
}

TEST(DecodeRelease, TakesALargestBatchAndRefusesALargerOne) {
  std::vector<LeaseId> leases;
  EXPECT_TRUE(DecodeRelease(ReleaseFrame(std::vector<std::uint64_t>(1024, 1)), leases).ok());
  EXPECT_EQ(leases.size(), 1024U);
  for (const std::size_t count : {0U, 1025U, 4000U})
    ExpectBroken(DecodeRelease(ReleaseFrame(std::vector<std::uint64_t>(count, 1)), leases),
                 absl::StrCat(count, " leases"));
}

TEST(DecodeRelease, RefusesACountThatDoesNotFit) {
  std::vector<LeaseId> leases;
  using Fixed = hlbuf_wire_release;
  for (const std::uint32_t count : {0U, 1U, 3U, 0x20000002U, 0xffffffffU})
    ExpectBroken(
        DecodeRelease(With<Fixed>(ReleaseFrame({1, 2}), [&](Fixed& f) { f.lease_count = count; }),
                      leases),
        absl::StrCat("count ", count));
  ExpectBroken(
      DecodeRelease(With<Fixed>(ReleaseFrame({1}), [](Fixed& f) { f.reserved = 1; }), leases),
      "reserved");
}

TEST(DecodePong, ReadsItsNonce) { EXPECT_EQ(*DecodePong(PongFrame(0x0123456789)), 0x0123456789U); }

}  // namespace
}  // namespace hlbuf
