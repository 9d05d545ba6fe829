// SPDX-License-Identifier: Apache-2.0
// Pages of a list, by key: a page token says after which key the next page starts.
#ifndef HLBUF_DAEMON_CONTROL_PAGE_H_
#define HLBUF_DAEMON_CONTROL_PAGE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/control/role.h"

namespace hlbuf {

inline constexpr std::size_t kPageDefault = 100;
inline constexpr std::size_t kPageMax = 1000;
// How many records a page may cost the broker thread; what has few matches comes in short pages.
// Anybody is a caller without a role.
inline constexpr std::size_t kExaminedMax = 20'000;
inline constexpr std::size_t kExaminedMaxWithoutRole = 1'000;

struct Page {
  std::size_t size = kPageDefault;
  std::string after;  // key of the last one examined before; empty: from the start
};

// How much of a page is there.
class PageFill {
 public:
  PageFill(const Page& page, const Caller& caller)
      : room_(page.size),
        left_to_examine_(caller.role == Role::kNone ? kExaminedMaxWithoutRole : kExaminedMax) {}
  bool HasRoom() const { return room_ > 0 && left_to_examine_ > 0; }
  std::size_t left_to_examine() const { return left_to_examine_; }
  void Examined(std::size_t records = 1) {
    left_to_examine_ -= std::min(left_to_examine_, records);
  }
  void Taken() { --room_; }

 private:
  std::size_t room_;
  std::size_t left_to_examine_;
};

// `query` stands for the question and its filters; a token is good for the same query only.
// `after` is not empty.
std::string PageToken(absl::string_view query, absl::string_view after);

// Errors: INVALID_ARGUMENT.
absl::StatusOr<Page> ReadPage(std::int32_t page_size, absl::string_view page_token,
                              absl::string_view query);

absl::Status BadPageToken();

// The id after which the page starts; 0 for the first.
absl::StatusOr<std::uint64_t> AfterId(const Page& page);

// The query of a List request: what it is, and everything but the page.
template <class Request>
std::string QueryOf(Request request) {
  request.clear_page_size();
  request.clear_page_token();
  return request.GetTypeName() + request.SerializeAsString();
}

template <class Request>
absl::StatusOr<Page> ReadPage(const Request& request) {
  return ReadPage(request.page_size(), request.page_token(), QueryOf(request));
}

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_PAGE_H_
