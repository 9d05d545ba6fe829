// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_JOURNAL_JSON_WRITER_H_
#define HLBUF_DAEMON_JOURNAL_JSON_WRITER_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace hlbuf {

// One JSON document, indented as hl-bufctl's others. Numbers of 64 bits are strings, for many
// readers of JSON have no more than 53. What is no UTF-8 in a text is U+FFFD.
class JsonWriter {
 public:
  JsonWriter() { Open('{'); }
  JsonWriter(const JsonWriter&) = delete;
  JsonWriter& operator=(const JsonWriter&) = delete;

  void Text(absl::string_view name, absl::string_view text);
  void Number(absl::string_view name, std::int64_t small);  // of 53 bits at most
  void Number64(absl::string_view name, std::uint64_t number);
  void Bool(absl::string_view name, bool value);
  // What is written until the matching End() is in there. Elements of a list have no name.
  void BeginObject(absl::string_view name = "");
  void BeginList(absl::string_view name);
  void End();

  // The whole; ends what is not ended.
  std::string Finish() &&;

 private:
  void Name(absl::string_view name);
  void Open(char bracket);
  void Quoted(absl::string_view text);
  void NewLine();

  std::string json_;
  std::string open_;  // brackets that are to come
  bool first_ = true;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_JOURNAL_JSON_WRITER_H_
