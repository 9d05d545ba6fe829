// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SOAK_RECORD_H_
#define HLBUF_TESTS_SOAK_RECORD_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace hlbuf {

// CLOCK_MONOTONIC, which all processes of a machine share.
std::uint64_t MonotonicNs();

// One line of a history: a flat object of JSON. history_check.py says which there are.
class Line {
 public:
  explicit Line(const char* what);
  Line& Add(const char* key, std::uint64_t number);
  Line& Add(const char* key, const std::string& word);  // printable, without quotes
  Line& AddList(const char* key, const std::vector<std::uint64_t>& numbers);
  Line& AddJson(const char* key, const std::string& json);
  const std::string& text() const { return text_; }

 private:
  std::string text_;  // without the closing brace
};

// The history of one process, in a file of its own.
class Record {
 public:
  explicit Record(const std::string& path);
  explicit operator bool() const { return file_ != nullptr; }
  void Write(const Line& line);
  // Returns when the kernel has everything, which outlives this process.
  void Flush();

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Closer> file_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SOAK_RECORD_H_
