// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/json.h"

#include <google/protobuf/util/json_util.h>

namespace hlbuf::ctl {
namespace {

std::string Json(const google::protobuf::Message& message, bool document) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.add_whitespace = document;
  options.always_print_primitive_fields = document;
  std::string text;
  // Fails only for an Any whose type is not linked in, and then says nothing of it.
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return "{}\n";
  if (text.empty() || text.back() != '\n') text += '\n';
  return text;
}

}  // namespace

std::string JsonDocument(const google::protobuf::Message& message) { return Json(message, true); }
std::string JsonLine(const google::protobuf::Message& message) { return Json(message, false); }

}  // namespace hlbuf::ctl
