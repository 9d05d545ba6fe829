// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/enum_names.h"

#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace hlbuf::ctl {
namespace {

using google::protobuf::EnumDescriptor;

// "DEVICE_STATE_" from "DEVICE_STATE_UNSPECIFIED", which every enum of the API begins with.
std::size_t PrefixBytes(const EnumDescriptor& type) {
  constexpr std::size_t kUnspecifiedBytes = sizeof("UNSPECIFIED") - 1;
  return type.FindValueByNumber(0)->name().size() - kUnspecifiedBytes;
}

}  // namespace

std::string ShortName(const EnumDescriptor& type, int value) {
  const auto* const found = type.FindValueByNumber(value);
  return found == nullptr ? absl::StrCat(value) : found->name().substr(PrefixBytes(type));
}

std::optional<int> ValueOf(const EnumDescriptor& type, const std::string& name) {
  const std::string prefix = type.FindValueByNumber(0)->name().substr(0, PrefixBytes(type));
  const std::string bare = absl::StrReplaceAll(absl::AsciiStrToUpper(name), {{"-", "_"}});
  const auto* const found = type.FindValueByName(prefix + bare);
  if (found == nullptr || found->number() == 0) return std::nullopt;
  return found->number();
}

std::vector<std::string> ShortNames(const EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i)
    if (type.value(i)->number() != 0)
      names.push_back(absl::StrReplaceAll(
          absl::AsciiStrToLower(ShortName(type, type.value(i)->number())), {{"_", "-"}}));
  return names;
}

}  // namespace hlbuf::ctl
