// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_JSON_H_
#define HLBUF_CLIENT_CTL_JSON_H_

#include <google/protobuf/message.h>

#include <string>

namespace hlbuf::ctl {

// A message as protobuf's JSON, with the fields' names as the .proto files have them, and 64 bit
// numbers as strings. A document is indented and shows fields that are 0 or empty; a line does
// neither. Both end with a newline.
std::string JsonDocument(const google::protobuf::Message& message);
std::string JsonLine(const google::protobuf::Message& message);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_JSON_H_
