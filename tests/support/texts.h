// SPDX-License-Identifier: Apache-2.0
// Assertions on texts that show the text when they fail.
#ifndef HLBUF_TESTS_SUPPORT_TEXTS_H_
#define HLBUF_TESTS_SUPPORT_TEXTS_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace hlbuf {

inline testing::AssertionResult Contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no '" << part << "' in: " << text;
}

inline testing::AssertionResult StartsWith(const std::string& text, const std::string& part) {
  if (text.rfind(part, 0) == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no '" << part << "' at the start of: " << text;
}

// The number behind the first `words` in `text`; -1 where there are none.
inline double NumberAfter(const std::string& words, const std::string& text) {
  const std::size_t at = text.find(words);
  return at == std::string::npos ? -1 : std::strtod(text.c_str() + at + words.size(), nullptr);
}

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_TEXTS_H_
