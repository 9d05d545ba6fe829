// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_DOCTOR_EXAMINATION_H_
#define HLBUF_CLIENT_CTL_DOCTOR_EXAMINATION_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "client/ctl/doctor/ask_card.h"
#include "client/ctl/doctor/ask_service.h"
#include "client/ctl/doctor/credentials.h"
#include "client/ctl/doctor/files.h"
#include "client/ctl/doctor/finding.h"
#include "client/ctl/doctor/roots.h"

namespace hlbuf::ctl::doctor {

// What is examined: where it shows itself as files, and whom to ask.
struct Patient {
  Roots roots;
  std::string socket;                            // of the service, for control
  std::vector<std::string> program_directories;  // where the service's programs may lie
  std::function<absl::StatusOr<CardAnswers>(const DeviceFile&)> ask_card = AskCard;
  std::function<ServiceAnswer(const std::string&)> ask_service = AskService;
  std::function<std::optional<Credentials>(const std::string&)> user = CredentialsOf;
  std::function<absl::Status(const std::string&)> look_for = LookFor;  // of a socket
};

// What all checks say, in the order in which a person wants to read it: the node, each card, the
// service.
std::vector<Finding> Examine(const Patient& patient);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_EXAMINATION_H_
