// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/names.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

bool IsPrintable(char c) { return c >= 0x20 && c < 0x7f; }
bool InName(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '/' ||
         c == '-';
}

absl::Status CheckLabel(absl::string_view label) {
  const std::size_t equals = label.find('=');
  if (equals == absl::string_view::npos)
    return Error(ErrorCode::kInvalidArgument,
                 absl::StrCat("label '", Printable(label), "' is not of the form key=value"));
  if (!std::all_of(label.begin(), label.end(), IsPrintable))
    return Error(ErrorCode::kInvalidArgument,
                 absl::StrCat("label '", Printable(label), "' is not printable ASCII"));
  return CheckName("label key", label.substr(0, equals));
}

}  // namespace

std::string Printable(absl::string_view text, std::size_t bytes_max) {
  std::string printable(text.substr(0, bytes_max));
  for (char& c : printable)
    if (!IsPrintable(c)) c = '?';
  return printable;
}

absl::Status CheckName(absl::string_view what, absl::string_view name) {
  if (!name.empty() && name.size() <= kNameBytesMax &&
      std::all_of(name.begin(), name.end(), InName))
    return absl::OkStatus();
  return Error(ErrorCode::kInvalidArgument,
               absl::StrCat(what, " '", Printable(name), "' has ", name.size(),
                            " bytes; it must have 1 to ", kNameBytesMax, " of [A-Za-z0-9._/-]"));
}

absl::Status CheckLabels(const std::vector<std::string>& labels) {
  std::size_t bytes = 0;
  absl::flat_hash_set<absl::string_view> keys;
  for (const std::string& label : labels) {
    if (absl::Status checked = CheckLabel(label); !checked.ok()) return checked;
    const absl::string_view key = absl::string_view(label).substr(0, label.find('='));
    if (!keys.insert(key).second)
      return Error(ErrorCode::kInvalidArgument,
                   absl::StrCat("label key '", key, "' is there twice"));
    bytes += label.size();
  }
  if (labels.size() > kLabelsMax || bytes > kLabelBytesMax)
    return Error(ErrorCode::kInvalidArgument,
                 absl::StrCat(labels.size(), " labels of ", bytes, " bytes; at most ", kLabelsMax,
                              " of together ", kLabelBytesMax, " bytes are kept"));
  return absl::OkStatus();
}

}  // namespace hlbuf
