// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal/journal_look.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "daemon/base/status_macros.h"
#include "daemon/journal/journal_source.h"
#include "daemon/persist/journal_reader.h"
#include "daemon/persist/journal_rows.h"

namespace hlbuf {
namespace {

constexpr int kCopiesMax = 16;
constexpr std::array<const char*, 9> kKinds = {"unknown", "devices", "sessions",
                                               "buffers", "leases",  "revocations",
                                               "notes",   "shares",  "parts"};
constexpr std::size_t kParts = kKinds.size() - 1;

std::string BootText(const BootId& id) {
  std::string text;
  for (std::size_t i = 0; i < id.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += absl::StrFormat("%02x", id[i]);
  }
  return text;
}

// By its place in kKinds.
std::size_t KindOf(const JournalKey& key) {
  constexpr std::uint16_t kMask = (1 << journal::kKindBits) - 1;
  const std::uint16_t kind = key.kind & kMask;
  if (kind == 0 || kind > static_cast<std::uint16_t>(journal::RowKind::kShares)) return 0;
  const bool has_parts = kind != static_cast<std::uint16_t>(journal::RowKind::kShares);
  return has_parts && key.kind > kMask ? kParts : kind;
}

std::vector<RecordCount> CountRecords(const Journal& journal) {
  std::vector<RecordCount> counts;
  for (const char* kind : kKinds) counts.push_back({.kind = kind});
  for (const Journal::Record& record : journal.Records()) ++counts[KindOf(record.key)].count;
  counts.push_back(std::move(counts.front()));  // the unknown come last
  counts.erase(counts.begin());
  return counts;
}

absl::StatusOr<JournalLook> Judge(UniqueFd copy) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, Journal::View(std::move(copy)));
  JournalLook look = {.written_by = journal->written_by(),
                      .boot_id = BootText(journal->boot_id()),
                      .records = CountRecords(*journal),
                      .capacity = journal->capacity(),
                      .damaged = journal->damaged()};
  absl::StatusOr<ReadJournal> read = Read(*journal);
  look.consistent = read.status();
  if (!read.ok()) return look;
  look.leftover = read->leftover.size();
  look.kept = std::move(read->kept);
  return look;
}

}  // namespace

absl::StatusOr<JournalLook> LookInto(const UniqueFd& file) {
  std::optional<std::uint64_t> before;
  for (int copies = 1;; ++copies) {
    ASSIGN_OR_RETURN(JournalCopy copy, CopyJournal(file));
    const bool still = before == copy.hash;
    before = copy.hash;
    if (!still && copies < kCopiesMax / 2) continue;
    ASSIGN_OR_RETURN(JournalLook look, Judge(std::move(copy.file)));
    look.changing = !still;
    if (still || look.consistent.ok() || copies == kCopiesMax) return look;
  }
}

}  // namespace hlbuf
