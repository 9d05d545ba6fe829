// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/habanalabs_notes.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"

namespace hlbuf {
namespace {

const Domain kAlice{.uid = 1000, .container = ""};
const Domain kPod{.uid = 0, .container = "0123456789abcdef"};

CardNote Card() {
  return {.is_open = true,
          .reads_events = true,
          .scrubs = true,
          .is_physical = false,
          .opening = 7,
          .resets = 3,
          .events = 0x44,
          .quiet_at = absl::Seconds(5),
          .memory = {.base = 0x20000000,
                     .total_bytes = 96ULL << 30,
                     .driver_page_bytes = 768 << 20,
                     .page_bytes = 4096,
                     .one_window_each = true,
                     .isolates = false},
          .opener_lost = "the opener died"};
}

PlaceOnCard Place(std::uint32_t chunk) {
  return {.chunk = chunk, .window = {.offset = 8192, .size_bytes = 4096}};
}

TEST(HabanalabsNotes, ComeBackAsTheyWereWritten) {
  const ChunkNote mapped = {
      .number = 2, .handle = 5, .size_bytes = 768 << 20, .address = 0x1001000000000000};
  const ChunkNote unmapped = {.number = 3, .handle = 6, .size_bytes = 768 << 20};
  const BytesNote bytes = {.place = Place(2), .domain = kPod};
  const SuspectNote suspect = {.number = 4, .domain = kAlice};
  const auto all = ReadCardNotes({NoteOf(Card()), NoteOf(mapped), NoteOf(unmapped), NoteOf(bytes),
                                  BlindNote(Place(3)), NoteOf(suspect)});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->card, Card());
  EXPECT_EQ(all->chunks, (std::vector{mapped, unmapped}));
  EXPECT_EQ(all->bytes, std::vector{bytes});
  EXPECT_EQ(all->blind, std::vector{Place(3)});
  EXPECT_EQ(all->suspects, std::vector{suspect});
}

TEST(HabanalabsNotes, AreForgottenUnderTheKeyThatTheyWereWrittenUnder) {
  EXPECT_EQ(ForgetChunk(2).key, NoteOf(ChunkNote{.number = 2}).key);
  EXPECT_EQ(ForgetBytes(2, 8192).key, NoteOf(BytesNote{.place = Place(2)}).key);
  EXPECT_EQ(ForgetBlind(Place(2)).key, BlindNote(Place(2)).key);
  EXPECT_EQ(ForgetSuspect(2).key, NoteOf(SuspectNote{.number = 2}).key);
  EXPECT_NE(NoteOf(BytesNote{.place = Place(2)}).key, NoteOf(BytesNote{.place = Place(3)}).key);
  EXPECT_TRUE(ForgetChunk(2).bytes.empty());
}

TEST(HabanalabsNotes, AreRefusedWholeWhenOneOfThemIsCutShort) {
  const std::vector<DeviceNote> written = {NoteOf(Card()), NoteOf(ChunkNote{.number = 2}),
                                           NoteOf(BytesNote{.place = Place(2), .domain = kPod}),
                                           BlindNote(Place(2)),
                                           NoteOf(SuspectNote{.number = 1, .domain = kPod})};
  for (std::size_t i = 0; i < written.size(); ++i) {
    for (std::size_t size = 1; size < written[i].bytes.size(); ++size) {
      std::vector<DeviceNote> notes = written;
      notes[i].bytes.resize(size);
      EXPECT_TRUE(absl::IsDataLoss(ReadCardNotes(notes).status())) << i << ", " << size;
    }
  }
}

TEST(HabanalabsNotes, AreRefusedWhenTheyAreOfALaterVersionOrKind) {
  DeviceNote later = NoteOf(Card());
  later.bytes[0] = 2;
  EXPECT_TRUE(absl::IsDataLoss(ReadCardNotes({later}).status()));
  const DeviceNote other = {.key = std::uint64_t{9} << 56, .bytes = "\1"};
  EXPECT_TRUE(absl::IsDataLoss(ReadCardNotes({NoteOf(Card()), other}).status()));
}

TEST(HabanalabsNotes, MakeNoSenseWithoutTheCard) {
  EXPECT_TRUE(absl::IsDataLoss(ReadCardNotes({BlindNote(Place(2))}).status()));
  const auto none = ReadCardNotes({});
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->card.has_value());
}

TEST(HabanalabsNotes, HaveNoSizesThatArithmeticCannotRelyOn) {
  for (const CardMemory& memory : {CardMemory{.total_bytes = 1, .driver_page_bytes = 0},
                                   CardMemory{.driver_page_bytes = 4096, .page_bytes = 0},
                                   CardMemory{.driver_page_bytes = 4096, .page_bytes = 12288},
                                   CardMemory{.driver_page_bytes = 5000, .page_bytes = 4096},
                                   CardMemory{.total_bytes = ~0ULL, .driver_page_bytes = 4096}}) {
    CardNote card = Card();
    card.memory = memory;
    EXPECT_TRUE(absl::IsDataLoss(ReadCardNotes({NoteOf(card)}).status()));
  }
}

// A later version has to read this.
TEST(HabanalabsNotes, AreReadAsVersion1WroteThem) {
  const std::string chunk = absl::HexStringToBytes(
      "01020000000500000000000000000000300000000001"
      "0000000000000110");
  const auto all =
      ReadCardNotes({NoteOf(Card()), {.key = NoteOf(ChunkNote{.number = 2}).key, .bytes = chunk}});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->chunks[0],
            (ChunkNote{
                .number = 2, .handle = 5, .size_bytes = 768 << 20, .address = 0x1001000000000000}));
  EXPECT_EQ(absl::BytesToHexString(NoteOf(Card()).bytes),
            "010101010007000000030000004400000000000000"
            "00f2052a010000000000002000000000000000001800000000000030000000000010000000000000"
            "01000f00746865206f70656e65722064696564");
}

TEST(WindowName, TellsOpeningsChunksAndPlacesApart) {
  const WindowName name = {.opening = 9, .chunk = 130, .offset = 5 * 4096};
  const WindowName same = WindowName::Of(name.number());
  EXPECT_EQ(same.opening, 9u);
  EXPECT_EQ(same.chunk, 130u);
  EXPECT_EQ(same.offset, 5u * 4096);
  EXPECT_TRUE(name.IsBefore(10, true));
  EXPECT_TRUE(name.IsBefore(9, false));
  EXPECT_FALSE(name.IsBefore(9, true));
  EXPECT_FALSE(WindowName::Of(99).IsBefore(10, true)) << "no opening";
}

}  // namespace
}  // namespace hlbuf
