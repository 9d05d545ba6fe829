// SPDX-License-Identifier: Apache-2.0
// Names of the API's enums without the prefix that every value of one enum shares:
// DEVICE_STATE_READY of DeviceState is "READY".
#ifndef HLBUF_CLIENT_CTL_ENUM_NAMES_H_
#define HLBUF_CLIENT_CTL_ENUM_NAMES_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/generated_enum_reflection.h>

#include <optional>
#include <string>
#include <vector>

namespace hlbuf::ctl {

// A number without a name, which a newer daemon may send, is shown as it is.
std::string ShortName(const google::protobuf::EnumDescriptor& type, int value);
// By short name, whatever its case, with hyphens or underscores.
std::optional<int> ValueOf(const google::protobuf::EnumDescriptor& type, const std::string& name);
// In lower case and with hyphens, without the UNSPECIFIED one.
std::vector<std::string> ShortNames(const google::protobuf::EnumDescriptor& type);

template <class Enum>
std::string ShortName(Enum value) {
  return ShortName(*google::protobuf::GetEnumDescriptor<Enum>(), static_cast<int>(value));
}

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_ENUM_NAMES_H_
