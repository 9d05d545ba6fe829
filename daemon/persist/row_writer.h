// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_PERSIST_ROW_WRITER_H_
#define HLBUF_DAEMON_PERSIST_ROW_WRITER_H_

#include <cstdint>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "daemon/persist/journal.h"
#include "daemon/persist/journal_rows.h"

namespace hlbuf {

JournalKey RowKey(journal::RowKind kind, std::uint64_t key, std::size_t part = 0);
// Of what has no number of its own.
std::uint64_t HashOfText(absl::string_view text, std::uint64_t seed = 0);

// Texts of a row, one behind the other.
class RowTexts {
 public:
  void Add(absl::string_view text);
  absl::string_view bytes() const { return bytes_; }
  void Clear() { bytes_.clear(); }

 private:
  std::string bytes_;
};

// Puts rows into a journal. A row is in it as a whole or not at all, however long it is.
class RowWriter {
 public:
  explicit RowWriter(Journal& journal);

  // Errors: those of Journal::Put()
  template <class Row>
  absl::Status Put(journal::RowKind kind, std::uint64_t key, const Row& row,
                   absl::string_view texts = {}, std::size_t part = 0) {
    static_assert(std::is_trivially_copyable_v<Row>);
    return Put(kind, key, part,
               absl::MakeSpan(reinterpret_cast<const std::uint8_t*>(&row), sizeof(row)), texts);
  }
  void Erase(journal::RowKind kind, std::uint64_t key, std::size_t part = 0);

 private:
  absl::Status Put(journal::RowKind kind, std::uint64_t key, std::size_t part,
                   absl::Span<const std::uint8_t> row, absl::string_view texts);
  absl::Status PutParts(journal::RowKind kind, const journal::RowHead& head,
                        absl::string_view texts);
  // The parts of the row that is there, if it has any.
  journal::RowHead HeadOf(JournalKey key) const;
  void EraseParts(journal::RowKind kind, const journal::RowHead& head);

  Journal& journal_;
  // Clients choose texts, and know their rows' keys: without this they could choose two that meet
  // at one text_key, and the second row would go with the parts of the first.
  const std::uint64_t salt_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_PERSIST_ROW_WRITER_H_
