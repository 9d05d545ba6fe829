// SPDX-License-Identifier: Apache-2.0
#include "tests/soak/soaked_daemon.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/support/descriptors.h"

namespace hlbuf {

Program SoakedDaemon::Command(const std::vector<std::string>& words) const {
  Program program = {.arguments = {BuiltPath("client/ctl/hl-bufctl"), "--socket", control_socket()},
                     .output = directory_.path() + "/said",
                     .appends = true};
  program.arguments.insert(program.arguments.end(), words.begin(), words.end());
  return program;
}

void SoakedDaemon::BeginReset() {
  drill_ = std::make_unique<Child>(Command({"simulate-reset", "--grace", "10s", "dev0"}));
}

void SoakedDaemon::RepeatReset() {
  if (!drill_->RunsFor(0)) BeginReset();
}

void SoakedDaemon::Revoke(std::uint64_t buffer) {
  Child(Command({"revoke", "--grace", "10s", absl::StrFormat("%x", buffer)})).ExitStatus();
}

std::map<std::string, std::uint64_t> SoakedDaemon::CountDescriptors() {
  std::uint64_t keepers = 0;
  for (const pid_t keeper : daemon_.Keepers()) keepers += DescriptorsOf(keeper).size();
  return {{"hl-bufd", DescriptorsOf(daemon_.pid()).size()}, {"hl-bufd-keeper", keepers}};
}

DaemonOptions SoakedOptions() {
  DaemonOptions options = {.device_keys = "size = \"256MiB\"", .supervised = true};
  for (const char* scope : {"service", "uid", "domain"})
    absl::StrAppend(&options.config, "[limits.", scope,
                    "]\nbuffers = 4000\nsessions = 200\nleases = "
                    "8000\nin_flight_fds = 2000\n");
  return options;
}

}  // namespace hlbuf
