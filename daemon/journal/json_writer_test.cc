// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal/json_writer.h"

#include <gtest/gtest.h>

#include <utility>

namespace hlbuf {
namespace {

TEST(JsonWriter, WritesOneDocument) {
  JsonWriter json;
  json.Text("text", "a");
  json.Number64("size_bytes", UINT64_MAX);
  json.BeginList("list");
  json.BeginObject();
  json.Bool("yes", true);
  json.End();
  json.Number("", -1);
  json.End();
  json.BeginList("none");
  EXPECT_EQ(std::move(json).Finish(),
            "{\n"
            " \"text\": \"a\",\n"
            " \"size_bytes\": \"18446744073709551615\",\n"
            " \"list\": [\n"
            "  {\n"
            "   \"yes\": true\n"
            "  },\n"
            "  -1\n"
            " ],\n"
            " \"none\": []\n"
            "}\n");
}

TEST(JsonWriter, KeepsTextsAJsonTextWhateverTheyAre) {
  JsonWriter json;
  json.BeginList("list");
  for (const char* text : {"\"\\\n\x1b", "\xc3\xa9\xf0\x9f\x8d\x8b", "\xff\xc3", "\xed\xa0\x80"})
    json.Text("", text);
  EXPECT_EQ(std::move(json).Finish(),
            "{\n \"list\": [\n"
            "  \"\\\"\\\\\\u000a\\u001b\",\n"
            "  \"\xc3\xa9\xf0\x9f\x8d\x8b\",\n"
            "  \"\\ufffd\\ufffd\",\n"
            "  \"\\ufffd\\ufffd\\ufffd\"\n"
            " ]\n}\n");
}

}  // namespace
}  // namespace hlbuf
