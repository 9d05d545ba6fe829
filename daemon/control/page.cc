// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/page.h"

#include <algorithm>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/core/error.h"
#include "daemon/core/ids.h"

namespace hlbuf {
namespace {

// FNV-1a: the same in every life of the daemon. It keeps honest callers from mistakes; a forged
// token only asks for a page that its caller may have anyway.
std::uint64_t Fingerprint(absl::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::string Prefix(absl::string_view query) {
  return absl::StrCat("1.", absl::Hex(Fingerprint(query)), ".");
}

}  // namespace

absl::Status BadPageToken() {
  return Error(ErrorCode::kInvalidArgument,
               "page_token is not one of this question; take next_page_token of the page before, "
               "and ask with the same filters");
}

std::string PageToken(absl::string_view query, absl::string_view after) {
  return absl::WebSafeBase64Escape(absl::StrCat(Prefix(query), after));
}

absl::StatusOr<Page> ReadPage(std::int32_t page_size, absl::string_view page_token,
                              absl::string_view query) {
  if (page_size < 0)
    return Error(ErrorCode::kInvalidArgument,
                 absl::StrCat("page_size is ", page_size, "; it is 0 for the default or more"));
  Page page;
  if (page_size > 0) page.size = std::min(static_cast<std::size_t>(page_size), kPageMax);
  if (page_token.empty()) return page;
  std::string token;
  absl::string_view after;
  if (absl::WebSafeBase64Unescape(page_token, &token)) {
    after = token;
    if (!absl::ConsumePrefix(&after, Prefix(query))) after = "";
  }
  if (after.empty()) return BadPageToken();
  page.after = std::string(after);
  return page;
}

absl::StatusOr<std::uint64_t> AfterId(const Page& page) {
  if (page.after.empty()) return 0;
  const std::optional<std::uint64_t> id = ParseIdText(page.after);
  if (!id.has_value()) return BadPageToken();
  return *id;
}

}  // namespace hlbuf
