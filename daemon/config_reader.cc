// SPDX-License-Identifier: Apache-2.0
#include "daemon/config_reader.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/core/names.h"

namespace hlbuf {
namespace {

// What stands there, for messages.
std::string Found(const toml::node& node) {
  if (const auto* text = node.as_string()) return absl::StrCat("\"", Printable(text->get()), "\"");
  if (const auto* integer = node.as_integer()) return absl::StrCat(integer->get());
  if (const auto* number = node.as_floating_point()) return absl::StrCat(number->get());
  if (const auto* boolean = node.as_boolean()) return boolean->get() ? "true" : "false";
  if (node.is_table()) return "a table";
  if (node.is_array()) return "an array";
  return "a date or a time";
}

// How many characters have to be added, dropped or replaced (Levenshtein).
std::size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// Which of `known` was meant, in a sentence.
std::string Suggestion(absl::string_view key, const std::vector<std::string>& known) {
  constexpr std::size_t kKeyBytesMax = 63;  // no key of ours is as long
  const std::string* nearest = nullptr;
  std::size_t least = std::max<std::size_t>(key.size() / 3, 2);
  for (const std::string& candidate : known) {
    if (key.size() > kKeyBytesMax) break;
    const std::size_t distance = Distance(key, candidate);
    if (distance > least || (nearest != nullptr && distance == least)) continue;
    nearest = &candidate;
    least = distance;
  }
  if (nearest != nullptr) return absl::StrCat("did you mean \"", *nearest, "\"?");
  return absl::StrCat("expected ", absl::StrJoin(known, ", "));
}

}  // namespace

void ConfigErrors::Add(const toml::source_region& where, absl::string_view text) {
  lines_.push_back({.where = where.begin, .text = std::string(text)});
}

absl::Status ConfigErrors::ToStatus() const {
  if (lines_.empty()) return absl::OkStatus();
  std::vector<Line> sorted = lines_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Line& a, const Line& b) { return a.where < b.where; });
  const auto format = [this](std::string* out, const Line& line) {
    absl::StrAppend(out, file_name_, ":", line.where.line, ":", line.where.column, ": ", line.text);
  };
  return absl::InvalidArgumentError(absl::StrJoin(sorted, "\n", format));
}

std::optional<TableReader> TableReader::Table(absl::string_view key) {
  const toml::node* node = Find(key);
  if (node == nullptr) return std::nullopt;
  if (const toml::table* table = node->as_table())
    return TableReader(*table, absl::StrCat(path_, key, "."), *errors_);
  ComplainOfType(key, *node, absl::StrCat("a table, [", path_, key, "]"));
  return std::nullopt;
}

std::vector<TableReader> TableReader::Tables(absl::string_view key) {
  std::vector<TableReader> tables;
  const toml::node* node = Find(key);
  if (node == nullptr) return tables;
  const std::string expected = absl::StrCat("tables, each under [[", path_, key, "]]");
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    ComplainOfType(key, *node, expected);
    return tables;
  }
  for (const toml::node& element : *array) {
    if (const toml::table* table = element.as_table())
      tables.emplace_back(*table, absl::StrCat(path_, key, "."), *errors_);
    else
      ComplainOfType(key, element, expected);
  }
  return tables;
}

const toml::node* TableReader::Find(absl::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
  return table_->get(std::string(key));
}

const toml::array* TableReader::FindList(absl::string_view key, absl::string_view expected) {
  const toml::node* node = Find(key);
  if (node == nullptr) return nullptr;
  const toml::array* array = node->as_array();
  if (array == nullptr)
    ComplainOfType(key, *node, absl::StrCat("an array, each element ", expected));
  else if (array->empty())
    ComplainOf(key, "is empty; name at least one, or leave the key out");
  return array;
}

void TableReader::ComplainOf(absl::string_view key, absl::string_view text) {
  const toml::node* node = table_->get(std::string(key));
  errors_->Add(node != nullptr ? node->source() : table_->source(),
               absl::StrCat(path_, key, ": ", text));
}

void TableReader::ComplainOfType(absl::string_view key, const toml::node& node,
                                 absl::string_view expected) {
  errors_->Add(node.source(),
               absl::StrCat(path_, key, ": found ", Found(node), "; expected ", expected));
}

void TableReader::RejectOthers() {
  for (const auto& [key, node] : *table_) {
    const std::string name(key.str());
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    errors_->Add(key.source(),
                 absl::StrCat(path_, Printable(name), ": unknown key; ", Suggestion(name, known_)));
  }
}

}  // namespace hlbuf
