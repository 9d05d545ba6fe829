// SPDX-License-Identifier: Apache-2.0
// Reads tables of a configuration, and collects what is wrong with them.
#ifndef HLBUF_DAEMON_CONFIG_READER_H_
#define HLBUF_DAEMON_CONFIG_READER_H_

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "daemon/config_toml.h"

namespace hlbuf {

// What a value must be: in words, which follow "expected", and how it is read. nullopt: it is not.
template <class T>
struct ValueKind {
  std::string expected;
  std::function<std::optional<T>(const toml::node&)> parse;
};

class ConfigErrors {
 public:
  explicit ConfigErrors(absl::string_view file_name) : file_name_(file_name) {}
  void Add(const toml::source_region& where, absl::string_view text);
  // INVALID_ARGUMENT with a line for each error, in the order of the file; OK if there is none.
  absl::Status ToStatus() const;

 private:
  struct Line {
    toml::source_position where;
    std::string text;
  };
  std::string file_name_;
  std::vector<Line> lines_;
};

// One table. Whatever is asked for is a key that it may have; RejectOthers() complains of the rest.
class TableReader {
 public:
  // `path` comes before each key in messages: "" or "sockets.". Both references outlive this.
  TableReader(const toml::table& table, std::string path, ConfigErrors& errors)
      : table_(&table), path_(std::move(path)), errors_(&errors) {}

  // Each leaves `value` alone when the key is absent or wrong, and returns whether it was read.
  template <class T>
  bool Read(absl::string_view key, const ValueKind<T>& kind, T& value) {
    const toml::node* node = Find(key);
    return node != nullptr && Parse(key, *node, kind, value);
  }
  template <class T>
  bool Require(absl::string_view key, const ValueKind<T>& kind, T& value) {
    if (Find(key) == nullptr) ComplainOf(key, "is missing; expected " + kind.expected);
    return Read(key, kind, value);
  }
  // Complains of `key` for that reason, if it is there.
  void Forbid(absl::string_view key, absl::string_view why) {
    if (Find(key) != nullptr) ComplainOf(key, why);
  }
  // An array of them. An empty one is refused: "nobody" is as likely to be meant as "everybody".
  template <class T>
  void ReadList(absl::string_view key, const ValueKind<T>& kind, std::vector<T>& values) {
    const toml::array* array = FindList(key, kind.expected);
    if (array == nullptr) return;
    for (const toml::node& node : *array)
      if (T value = {}; Parse(key, node, kind, value)) values.push_back(std::move(value));
  }
  // Whether `key` is there, right or wrong.
  bool Has(absl::string_view key) { return Find(key) != nullptr; }
  // [key]
  std::optional<TableReader> Table(absl::string_view key);
  // [[key]], each of them
  std::vector<TableReader> Tables(absl::string_view key);

  // Points at the value of `key`; where it is absent, at the table. For what no ValueKind can tell.
  void ComplainOf(absl::string_view key, absl::string_view text);
  void RejectOthers();

 private:
  const toml::node* Find(absl::string_view key);
  const toml::array* FindList(absl::string_view key, absl::string_view expected);
  template <class T>
  bool Parse(absl::string_view key, const toml::node& node, const ValueKind<T>& kind, T& value) {
    std::optional<T> parsed = kind.parse(node);
    if (!parsed.has_value()) {
      ComplainOfType(key, node, kind.expected);
      return false;
    }
    value = *std::move(parsed);
    return true;
  }
  void ComplainOfType(absl::string_view key, const toml::node& node, absl::string_view expected);

  const toml::table* table_;
  std::string path_;
  ConfigErrors* errors_;
  std::vector<std::string> known_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONFIG_READER_H_
