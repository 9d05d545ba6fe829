// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_CTL_COMMAND_H_
#define HLBUF_TESTS_SUPPORT_CTL_COMMAND_H_

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/child.h"

namespace hlbuf {

// hl-bufctl, asking the daemon at `control_socket`; runs once at a time.
class CtlCommand {
 public:
  explicit CtlCommand(std::string control_socket) : control_socket_(std::move(control_socket)) {}

  Program Command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), BuiltPath("client/ctl/hl-bufctl"));
    return {.arguments = std::move(arguments),
            .environment = {"HLBUF_CONTROL=" + control_socket_},
            .output = directory_.path() + "/output"};
  }
  Finished Run(std::vector<std::string> arguments) const {
    return RunToEnd(Command(std::move(arguments)));
  }
  // What it printed as JSON, whatever it ended with.
  template <class Message>
  Message Json(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--output", "json"});
    const Finished finished = Run(std::move(arguments));
    Message message;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(finished.output, &message).ok())
        << "exit status " << finished.exit_status << ": " << finished.output;
    return message;
  }

 private:
  std::string control_socket_;
  TemporaryDirectory directory_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_CTL_COMMAND_H_
