// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_LISTINGS_H_
#define HLBUF_CLIENT_CTL_LISTINGS_H_

#include <string>

#include "absl/time/time.h"
#include "hlbuf/v1/control.pb.h"

namespace hlbuf::ctl {

// The answers to List calls, all pages in one, as tables. Ages are as of `now`.
std::string TableText(const v1::ListDevicesResponse& response, absl::Time now);
std::string TableText(const v1::ListBuffersResponse& response, absl::Time now);
std::string TableText(const v1::ListLeasesResponse& response, absl::Time now);
std::string TableText(const v1::ListSessionsResponse& response, absl::Time now);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_LISTINGS_H_
