// SPDX-License-Identifier: Apache-2.0
#include "tests/soak/record.h"

#include <ctime>

namespace hlbuf {

std::uint64_t MonotonicNs() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

Line::Line(const char* what) : text_(std::string("{\"what\":\"") + what + '"') {}

Line& Line::AddJson(const char* key, const std::string& json) {
  text_ += std::string(",\"") + key + "\":" + json;
  return *this;
}

Line& Line::Add(const char* key, std::uint64_t number) {
  return AddJson(key, std::to_string(number));
}

Line& Line::Add(const char* key, const std::string& word) { return AddJson(key, '"' + word + '"'); }

Line& Line::AddList(const char* key, const std::vector<std::uint64_t>& numbers) {
  std::string list = "[";
  for (const std::uint64_t number : numbers)
    list += (list.size() == 1 ? "" : ",") + std::to_string(number);
  return AddJson(key, list + ']');
}

Record::Record(const std::string& path) : file_(std::fopen(path.c_str(), "we")) {}

void Record::Write(const Line& line) { std::fprintf(file_.get(), "%s}\n", line.text().c_str()); }

void Record::Flush() { std::fflush(file_.get()); }

}  // namespace hlbuf
