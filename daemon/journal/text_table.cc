// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal/text_table.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace hlbuf {

std::string Printable(absl::string_view text) {
  std::string printable;
  for (const char c : text) {
    if (absl::ascii_isprint(static_cast<unsigned char>(c)))
      printable += c;
    else
      absl::StrAppendFormat(&printable, "\\x%02x", static_cast<unsigned char>(c));
  }
  return printable;
}

void TextTable::Add(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = cell.empty() ? "-" : Printable(cell);
  rows_.push_back(std::move(cells));
}

std::string TextTable::Text() const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i)
      absl::StrAppend(&text, row[i], std::string(widths[i] - row[i].size() + 2, ' '));
    absl::StrAppend(&text, row.back(), "\n");
  }
  return text;
}

}  // namespace hlbuf
