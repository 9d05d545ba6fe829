// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/habanalabs_notes.h"

#include <cstring>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

// Of the layouts below. A later version may add to the end of each, under the same number.
constexpr std::uint8_t kVersion = 1;
constexpr std::uint64_t kUnitBytes = 4096;  // in which keys and names count, whatever the page is
constexpr std::uint32_t kSuspectsMax = 1U << 29;
constexpr std::size_t kTextBytesMax = 200;

enum class Kind : std::uint8_t { kCard = 1, kChunk, kBytes, kBlind, kSuspect };

std::uint64_t KeyOf(Kind kind, std::uint64_t chunk = 0, std::uint64_t offset = 0) {
  return static_cast<std::uint64_t>(kind) << 56 | chunk << 26 | offset / kUnitBytes;
}

class Writer {
 public:
  Writer() { Put(kVersion); }
  template <class T>
  Writer& Put(T value) {
    static_assert(std::is_integral_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  Writer& PutText(const std::string& text) {
    Put(static_cast<std::uint16_t>(text.size()));
    bytes_ += text;
    return *this;
  }
  Writer& PutDomain(const Domain& domain) {
    return Put(std::uint32_t{domain.uid}).PutText(domain.container);
  }
  DeviceNote At(std::uint64_t key) && { return {.key = key, .bytes = std::move(bytes_)}; }

 private:
  std::string bytes_;
};

// Reads zeros behind the end, and remembers that it did.
class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {
    ok_ = Get<std::uint8_t>() == kVersion;
  }
  template <class T>
  T Get() {
    T value = 0;
    if (!Has(sizeof(value))) return value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(value));
    at_ += sizeof(value);
    return value;
  }
  std::string GetText() {
    const std::size_t size = Get<std::uint16_t>();
    if (!Has(size)) return "";
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  Domain GetDomain() {
    const auto uid = Get<std::uint32_t>();
    return {.uid = uid, .container = GetText()};
  }
  bool ok() const { return ok_; }

 private:
  bool Has(std::size_t size) {
    ok_ = ok_ && size <= bytes_.size() - at_;
    return ok_;
  }
  const std::string& bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

CardNote ReadCard(Reader& in) {
  CardNote card;
  card.is_open = in.Get<std::uint8_t>() != 0;
  card.reads_events = in.Get<std::uint8_t>() != 0;
  card.scrubs = in.Get<std::uint8_t>() != 0;
  card.is_physical = in.Get<std::uint8_t>() != 0;
  card.opening = in.Get<std::uint32_t>();
  card.resets = in.Get<std::uint32_t>();
  card.events = in.Get<std::uint64_t>();
  card.quiet_at = absl::Nanoseconds(in.Get<std::int64_t>());
  card.memory.base = in.Get<std::uint64_t>();
  card.memory.total_bytes = in.Get<std::uint64_t>();
  card.memory.driver_page_bytes = in.Get<std::uint64_t>();
  card.memory.page_bytes = in.Get<std::uint64_t>();
  card.memory.one_window_each = in.Get<std::uint8_t>() != 0;
  card.memory.isolates = in.Get<std::uint8_t>() != 0;
  card.opener_lost = in.GetText();
  return card;
}

// Sizes that arithmetic can rely on; none before the card was open for the first time.
bool MakesSense(const CardMemory& memory) {
  if (memory == CardMemory()) return true;
  const std::uint64_t page = memory.page_bytes;
  return page >= kUnitBytes && (page & (page - 1)) == 0 && memory.driver_page_bytes > 0 &&
         memory.driver_page_bytes % page == 0 && memory.base % page == 0 &&
         memory.total_bytes < std::uint64_t{1} << 48;
}

ChunkNote ReadChunk(Reader& in) {
  ChunkNote chunk;
  chunk.number = in.Get<std::uint32_t>();
  chunk.handle = in.Get<std::uint64_t>();
  chunk.size_bytes = in.Get<std::uint64_t>();
  const bool mapped = in.Get<std::uint8_t>() != 0;
  const auto address = in.Get<std::uint64_t>();
  if (mapped) chunk.address = address;
  return chunk;
}

PlaceOnCard ReadPlace(Reader& in) {
  PlaceOnCard place;
  place.chunk = in.Get<std::uint32_t>();
  place.window.offset = in.Get<std::uint64_t>();
  place.window.size_bytes = in.Get<std::uint64_t>();
  return place;
}

bool ReadNote(const DeviceNote& note, CardNotes& all) {
  Reader in(note.bytes);
  switch (static_cast<Kind>(note.key >> 56)) {
    case Kind::kCard:
      all.card = ReadCard(in);
      return in.ok() && MakesSense(all.card->memory) &&
             all.card->opening <= WindowName::kOpeningMax;
    case Kind::kChunk:
      all.chunks.push_back(ReadChunk(in));
      return in.ok() && all.chunks.back().number <= WindowName::kChunkMax;
    case Kind::kBytes: {
      const PlaceOnCard place = ReadPlace(in);
      all.bytes.push_back({.place = place, .domain = in.GetDomain()});
      return in.ok();
    }
    case Kind::kBlind:
      all.blind.push_back(ReadPlace(in));
      return in.ok();
    case Kind::kSuspect:
      all.suspects.push_back({.number = in.Get<std::uint32_t>(), .domain = {}});
      all.suspects.back().domain = in.GetDomain();
      return in.ok() && all.suspects.back().number <= kSuspectsMax;
  }
  return false;
}

Writer PlaceWriter(const PlaceOnCard& place) {
  Writer out;
  out.Put(place.chunk).Put(place.window.offset).Put(place.window.size_bytes);
  return out;
}

}  // namespace

DeviceNote NoteOf(const CardNote& card) {
  const CardMemory& memory = card.memory;
  Writer out;
  out.Put(std::uint8_t{card.is_open}).Put(std::uint8_t{card.reads_events});
  out.Put(std::uint8_t{card.scrubs}).Put(std::uint8_t{card.is_physical});
  out.Put(card.opening).Put(card.resets).Put(card.events);
  out.Put(absl::ToInt64Nanoseconds(card.quiet_at));
  out.Put(memory.base).Put(memory.total_bytes).Put(memory.driver_page_bytes);
  out.Put(memory.page_bytes).Put(std::uint8_t{memory.one_window_each});
  out.Put(std::uint8_t{memory.isolates}).PutText(card.opener_lost.substr(0, kTextBytesMax));
  return std::move(out).At(KeyOf(Kind::kCard));
}

DeviceNote NoteOf(const ChunkNote& chunk) {
  Writer out;
  out.Put(chunk.number).Put(chunk.handle).Put(chunk.size_bytes);
  out.Put(std::uint8_t{chunk.address.has_value()}).Put(chunk.address.value_or(0));
  return std::move(out).At(KeyOf(Kind::kChunk, chunk.number));
}

DeviceNote NoteOf(const BytesNote& bytes) {
  Writer out = PlaceWriter(bytes.place);
  out.PutDomain(bytes.domain);
  return std::move(out).At(KeyOf(Kind::kBytes, bytes.place.chunk, bytes.place.window.offset));
}

DeviceNote BlindNote(const PlaceOnCard& place) {
  return PlaceWriter(place).At(KeyOf(Kind::kBlind, place.chunk, place.window.offset));
}

DeviceNote NoteOf(const SuspectNote& suspect) {
  Writer out;
  out.Put(suspect.number).PutDomain(suspect.domain);
  return std::move(out).At(KeyOf(Kind::kSuspect, suspect.number));
}

DeviceNote ForgetChunk(std::uint32_t number) {
  return {.key = KeyOf(Kind::kChunk, number), .bytes = ""};
}

DeviceNote ForgetBytes(std::uint32_t chunk, std::uint64_t offset) {
  return {.key = KeyOf(Kind::kBytes, chunk, offset), .bytes = ""};
}

DeviceNote ForgetBlind(const PlaceOnCard& place) {
  return {.key = KeyOf(Kind::kBlind, place.chunk, place.window.offset), .bytes = ""};
}

DeviceNote ForgetSuspect(std::uint32_t number) {
  return {.key = KeyOf(Kind::kSuspect, number), .bytes = ""};
}

absl::StatusOr<CardNotes> ReadCardNotes(absl::Span<const DeviceNote> notes) {
  CardNotes all;
  for (const DeviceNote& note : notes)
    if (!note.bytes.empty() && !ReadNote(note, all))
      return absl::DataLossError(absl::StrCat("what was noted of the card under ",
                                              absl::Hex(note.key),
                                              " is damaged, or of a later version of hl-bufd"));
  if (!all.card && !notes.empty())
    return absl::DataLossError("nothing was noted of the card itself");
  return all;
}

WindowName WindowName::Of(std::uint64_t number) {
  return {.opening = static_cast<std::uint32_t>(number >> 44),
          .chunk = static_cast<std::uint32_t>(number >> 26 & kChunkMax),
          .offset = (number & ((1U << 26) - 1)) * kUnitBytes};
}

std::uint64_t WindowName::number() const {
  return std::uint64_t{opening} << 44 | std::uint64_t{chunk} << 26 | offset / kUnitBytes;
}

}  // namespace hlbuf
