// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_DOCTOR_ASK_SERVICE_H_
#define HLBUF_CLIENT_CTL_DOCTOR_ASK_SERVICE_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace hlbuf::ctl::doctor {

// What the service said at its control socket.
struct ServiceAnswer {
  absl::Status status;            // PERMISSION_DENIED: the socket is not for this user
  std::optional<pid_t> listener;  // who listens there; 1 where systemd made the socket
  struct Device {
    std::string name;
    std::string kind;
    std::string state;  // "READY"
    std::string failure;
  };
  std::vector<Device> devices;
};

ServiceAnswer AskService(const std::string& socket_path);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_ASK_SERVICE_H_
