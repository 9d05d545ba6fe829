// SPDX-License-Identifier: Apache-2.0
// Texts taken apart from their front. Nothing here trusts what it reads.
#ifndef HLBUF_DAEMON_HOLDERS_WORDS_H_
#define HLBUF_DAEMON_HOLDERS_WORDS_H_

#include <charconv>
#include <cstddef>
#include <optional>
#include <string_view>

namespace hlbuf {

// Up to the first `end`, which goes too; all of it, where there is none.
inline std::string_view TakeUntil(std::string_view& text, char end) {
  const std::size_t at = text.find(end);
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return taken;
}

inline bool TakePrefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// The whole of `text` as a number that T has room for.
template <class T>
std::optional<T> ToNumber(std::string_view text, int base = 10) {
  T number = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number, base);
  if (text.empty() || error != std::errc() || stopped != end) return std::nullopt;
  return number;
}

// Takes a word and reads it as a number. False: it is none.
template <class T>
bool TakeNumber(std::string_view& text, T& number) {
  const std::optional<T> read = ToNumber<T>(TakeUntil(text, ' '));
  number = read.value_or(T{});
  return read.has_value();
}

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_HOLDERS_WORDS_H_
