// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_DOCTOR_CREDENTIALS_H_
#define HLBUF_CLIENT_CTL_DOCTOR_CREDENTIALS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/ctl/doctor/cards.h"

namespace hlbuf::ctl::doctor {

// Who somebody is to file permissions.
struct Credentials {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  bool overrides_modes = false;  // CAP_DAC_OVERRIDE
  std::string source;            // "hl-bufd, pid 4711, uid 990"
};

// From /proc/PID/status. nullopt: that is not what it is.
std::optional<Credentials> CredentialsIn(absl::string_view status);
// Of a user of this system. nullopt: there is none.
std::optional<Credentials> CredentialsOf(const std::string& user);

// Whether the permission bits let them read and write. Access lists are not looked at.
bool MayOpen(const Credentials& who, const DeviceFile& file);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_CREDENTIALS_H_
