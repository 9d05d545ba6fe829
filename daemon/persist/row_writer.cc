// SPDX-License-Identifier: Apache-2.0
#include "daemon/persist/row_writer.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "daemon/base/crash_point.h"
#include "daemon/base/status_macros.h"

namespace hlbuf {
namespace {

using journal::RowHead;
using journal::RowKind;

constexpr std::size_t kRoom = journal::kContentBytesMax;

// Around the writes of a kind of row.
struct CrashesOf {
  CrashPointName before_put, after_put, before_erase, after_erase;
};

const CrashesOf& Crashes(RowKind kind) {
  // A device is never erased.
  static constexpr CrashesOf kDevice = {"before-put-device", "after-put-device",
                                        "before-erase-note", "after-erase-note"};
  static constexpr CrashesOf kSession = {"before-put-session", "after-put-session",
                                         "before-erase-session", "after-erase-session"};
  static constexpr CrashesOf kBuffer = {"before-put-buffer", "after-put-buffer",
                                        "before-erase-buffer", "after-erase-buffer"};
  static constexpr CrashesOf kLease = {"before-put-lease", "after-put-lease", "before-erase-lease",
                                       "after-erase-lease"};
  static constexpr CrashesOf kRevocation = {"before-put-revocation", "after-put-revocation",
                                            "before-erase-revocation", "after-erase-revocation"};
  static constexpr CrashesOf kNote = {"before-put-note", "after-put-note", "before-erase-note",
                                      "after-erase-note"};
  static constexpr CrashesOf kShares = {"before-put-shares", "after-put-shares",
                                        "before-erase-shares", "after-erase-shares"};
  switch (kind) {
    case RowKind::kDevice:
      return kDevice;
    case RowKind::kSession:
      return kSession;
    case RowKind::kBuffer:
      return kBuffer;
    case RowKind::kLease:
      return kLease;
    case RowKind::kRevocation:
      return kRevocation;
    case RowKind::kNote:
      return kNote;
    case RowKind::kShares:
      break;
  }
  return kShares;
}

// 0 where the kernel has no random bits yet: early in a boot, before there are clients.
std::uint64_t Salt() {
  std::uint64_t salt = 0;
  static_cast<void>(::getrandom(&salt, sizeof(salt), GRND_NONBLOCK));
  return salt;
}

std::size_t PartsOf(std::size_t bytes) { return (bytes + kRoom - 1) / kRoom; }

}  // namespace

JournalKey RowKey(RowKind kind, std::uint64_t key, std::size_t part) {
  return {.kind = static_cast<std::uint16_t>(static_cast<std::size_t>(kind) |
                                             part << journal::kKindBits),
          .key = key};
}

std::uint64_t HashOfText(absl::string_view text, std::uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

void RowTexts::Add(absl::string_view text) {
  const auto bytes = static_cast<std::uint32_t>(text.size());
  bytes_.append(reinterpret_cast<const char*>(&bytes), sizeof(bytes));
  bytes_.append(text.data(), text.size());
}

RowWriter::RowWriter(Journal& journal) : journal_(journal), salt_(Salt()) {}

RowHead RowWriter::HeadOf(JournalKey key) const {
  RowHead head = {};
  const absl::Span<const std::uint8_t> content = journal_.Find(key);
  if (content.size() >= sizeof(head)) std::memcpy(&head, content.data(), sizeof(head));
  return head;
}

absl::Status RowWriter::Put(RowKind kind, std::uint64_t key, std::size_t part,
                            absl::Span<const std::uint8_t> row, absl::string_view texts) {
  RowHead head = {.fixed_bytes = static_cast<std::uint16_t>(row.size()),
                  .text_parts = 0,
                  .text_bytes = static_cast<std::uint32_t>(texts.size()),
                  .text_key = 0};
  const bool apart = sizeof(head) + row.size() + texts.size() > kRoom;
  if (apart) {
    const std::size_t parts = PartsOf(texts.size());
    if (parts > journal::kPartsMax)
      return absl::InvalidArgumentError("a text is too long for the journal");
    head.text_parts = static_cast<std::uint16_t>(parts);
    head.text_key = HashOfText(texts, key ^ salt_);
    RETURN_IF_ERROR(PutParts(kind, head, texts));
  }
  std::array<std::uint8_t, kRoom> content;
  std::memcpy(content.data(), &head, sizeof(head));
  std::size_t bytes = sizeof(head);
  std::memcpy(content.data() + bytes, row.data(), row.size());
  bytes += row.size();
  if (!apart && !texts.empty()) {
    std::memcpy(content.data() + bytes, texts.data(), texts.size());
    bytes += texts.size();
  }
  const JournalKey row_key = RowKey(kind, key, part);
  const RowHead before = HeadOf(row_key);
  CrashPoint(Crashes(kind).before_put);
  RETURN_IF_ERROR(journal_.Put(row_key, absl::MakeSpan(content.data(), bytes)));
  CrashPoint(Crashes(kind).after_put);
  if (before.text_parts > 0 && before.text_key != head.text_key) EraseParts(kind, before);
  return absl::OkStatus();
}

absl::Status RowWriter::PutParts(RowKind kind, const RowHead& head, absl::string_view texts) {
  for (std::size_t part = 1; part <= head.text_parts; ++part) {
    const JournalKey key = RowKey(kind, head.text_key, part);
    const absl::string_view piece = texts.substr((part - 1) * kRoom, kRoom);
    if (!journal_.Find(key).empty()) continue;
    RETURN_IF_ERROR(journal_.Put(
        key, absl::MakeSpan(reinterpret_cast<const std::uint8_t*>(piece.data()), piece.size())));
  }
  return absl::OkStatus();
}

void RowWriter::Erase(RowKind kind, std::uint64_t key, std::size_t part) {
  const JournalKey row_key = RowKey(kind, key, part);
  const RowHead head = HeadOf(row_key);
  CrashPoint(Crashes(kind).before_erase);
  journal_.Erase(row_key);
  CrashPoint(Crashes(kind).after_erase);
  EraseParts(kind, head);
}

void RowWriter::EraseParts(RowKind kind, const RowHead& head) {
  for (std::size_t part = 1; part <= head.text_parts; ++part)
    journal_.Erase(RowKey(kind, head.text_key, part));
}

}  // namespace hlbuf
