// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal/json_writer.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace hlbuf {
namespace {

// Bytes of the UTF-8 character that `text` begins with, behind ASCII; 0: there is none.
std::size_t CharacterBytes(absl::string_view text) {
  const auto at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t bytes = at(0) >= 0xf0 ? 4 : at(0) >= 0xe0 ? 3 : 2;
  if (at(0) < 0xc2 || at(0) > 0xf4 || text.size() < bytes) return 0;
  for (std::size_t i = 1; i < bytes; ++i)
    if ((at(i) & 0xc0) != 0x80) return 0;
  // Longer than it has to be, half of a pair of UTF-16, or beyond Unicode.
  const bool none = (at(0) == 0xe0 && at(1) < 0xa0) || (at(0) == 0xed && at(1) > 0x9f) ||
                    (at(0) == 0xf0 && at(1) < 0x90) || (at(0) == 0xf4 && at(1) > 0x8f);
  return none ? 0 : bytes;
}

}  // namespace

void JsonWriter::NewLine() {
  if (!first_) json_ += ',';
  if (!json_.empty()) absl::StrAppend(&json_, "\n", std::string(open_.size(), ' '));
  first_ = false;
}

void JsonWriter::Quoted(absl::string_view text) {
  json_ += '"';
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    std::size_t bytes = 1;
    if (c == '"' || c == '\\') {
      absl::StrAppend(&json_, "\\", text.substr(i, 1));
    } else if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppendFormat(&json_, "\\u%04x", byte);
    } else if (byte < 0x80) {
      json_ += c;
    } else if ((bytes = CharacterBytes(text.substr(i))) > 0) {
      absl::StrAppend(&json_, text.substr(i, bytes));
    } else {
      json_ += "\\ufffd";
      bytes = 1;
    }
    i += bytes;
  }
  json_ += '"';
}

void JsonWriter::Name(absl::string_view name) {
  NewLine();
  if (name.empty()) return;
  Quoted(name);
  json_ += ": ";
}

void JsonWriter::Open(char bracket) {
  json_ += bracket;
  open_ += bracket == '{' ? '}' : ']';
  first_ = true;
}

void JsonWriter::Text(absl::string_view name, absl::string_view text) {
  Name(name);
  Quoted(text);
}

void JsonWriter::Number(absl::string_view name, std::int64_t small) {
  Name(name);
  absl::StrAppend(&json_, small);
}

void JsonWriter::Number64(absl::string_view name, std::uint64_t number) {
  Text(name, absl::StrCat(number));
}

void JsonWriter::Bool(absl::string_view name, bool value) {
  Name(name);
  json_ += value ? "true" : "false";
}

void JsonWriter::BeginObject(absl::string_view name) {
  Name(name);
  Open('{');
}

void JsonWriter::BeginList(absl::string_view name) {
  Name(name);
  Open('[');
}

void JsonWriter::End() {
  const char bracket = open_.back();
  open_.pop_back();
  if (!first_) absl::StrAppend(&json_, "\n", std::string(open_.size(), ' '));
  json_ += bracket;
  first_ = false;
}

std::string JsonWriter::Finish() && {
  while (!open_.empty()) End();
  return json_ + "\n";
}

}  // namespace hlbuf
