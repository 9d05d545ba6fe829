// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_JOURNAL_TEXT_TABLE_H_
#define HLBUF_DAEMON_JOURNAL_TEXT_TABLE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace hlbuf {

// `text` with everything but printable ASCII as \xNN: what others chose must not steer a terminal.
std::string Printable(absl::string_view text);

// Rows whose columns line up; cells are made printable, an empty one is "-".
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> head) : rows_({std::move(head)}) {}

  // As many cells as the head has.
  void Add(std::vector<std::string> cells);
  // With a newline after each row.
  std::string Text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_JOURNAL_TEXT_TABLE_H_
