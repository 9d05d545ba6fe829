// SPDX-License-Identifier: Apache-2.0
// hl-bufctl as an operator runs it, beside a daemon with clients.
#ifndef HLBUF_TESTS_SUPPORT_CTL_TEST_H_
#define HLBUF_TESTS_SUPPORT_CTL_TEST_H_

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {

constexpr int kAny = -1;
enum ExitStatus { kOk = 0, kFailed = 1, kBadUsage = 2, kUnreachable = 3, kHeld = 4, kLost = 5 };

inline std::string IdText(std::uint64_t id) { return absl::StrFormat("%x", id); }
inline std::string LetGo() { return CountsReferences() ? "PROVEN" : "ACKNOWLEDGED"; }

class CtlTest : public DaemonTest {
 protected:
  CtlTest() { Use(); }
  LibraryClient Client(const User& user) { return {user, daemon().client_socket()}; }

  Program Command(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), BuiltPath("client/ctl/hl-bufctl"));
    return {.arguments = std::move(arguments),
            .environment = {"HLBUF_CONTROL=" + daemon().control_socket()},
            .output = directory_.path() + "/output"};
  }
  Finished Run(std::vector<std::string> arguments) { return RunToEnd(Command(arguments)); }
  // What it printed as JSON.
  template <class Message>
  Message Json(std::vector<std::string> arguments, int exit_status = kOk) {
    arguments.insert(arguments.begin(), {"--output", "json"});
    const Finished finished = Run(arguments);
    if (exit_status != kAny) {
      EXPECT_EQ(finished.exit_status, exit_status) << finished.output;
    }
    Message message;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(finished.output, &message).ok())
        << finished.output;
    return message;
  }
  std::string Output() const { return ReadAll(directory_.path() + "/output"); }

 private:
  TemporaryDirectory directory_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_CTL_TEST_H_
