// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/rpc_error.h"

#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"

namespace hlbuf::ctl {
namespace {

google::rpc::Status Refusal(const std::string& reason, const std::string& domain) {
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain(domain);
  google::rpc::Status details;
  details.set_code(grpc::StatusCode::UNAVAILABLE);
  details.set_message("dev0 is RESETTING");
  details.add_details()->PackFrom(google::rpc::RetryInfo());
  details.add_details()->PackFrom(info);
  return details;
}

grpc::Status OverTheWire(const google::rpc::Status& details) {
  return {static_cast<grpc::StatusCode>(details.code()), details.message(),
          details.SerializeAsString()};
}

TEST(ErrorText, NamesTheReasonOfTheDaemon) {
  const google::rpc::Status refusal = Refusal("DEVICE_UNAVAILABLE", "hlbuf");
  EXPECT_EQ(ErrorText(refusal), "dev0 is RESETTING (DEVICE_UNAVAILABLE)");
  EXPECT_EQ(ErrorText(OverTheWire(refusal)), "dev0 is RESETTING (DEVICE_UNAVAILABLE)");
}

TEST(ErrorText, NamesCommandsWhereTheDaemonNamesCalls) {
  const auto text = [](const char* message) {
    return ErrorText(grpc::Status(grpc::StatusCode::NOT_FOUND, message));
  };
  EXPECT_EQ(text("there is no device 'x'; ListDevices shows those that are"),
            "there is no device 'x'; `hl-bufctl devices` shows those that are (NOT_FOUND)");
  EXPECT_EQ(text("there is no buffer 1f; ListBuffers shows those that are"),
            "there is no buffer 1f; `hl-bufctl buffers` shows those that are (NOT_FOUND)");
  EXPECT_EQ(text("buffer_ids is 'x'; an id is 1 to 16 hexadecimal digits, as lists show it"),
            "BUFFER is 'x'; an id is 1 to 16 hexadecimal digits, as lists show it (NOT_FOUND)");
}

TEST(ErrorText, NamesTheCodeWhereNobodyGaveAReason) {
  EXPECT_EQ(ErrorText(grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed")),
            "Socket closed (UNAVAILABLE)");
  EXPECT_EQ(ErrorText(grpc::Status(grpc::StatusCode::INTERNAL, "odd", "\xff\xff")),
            "odd (INTERNAL)");
  EXPECT_EQ(ErrorText(Refusal("OTHER", "example.org")), "dev0 is RESETTING (UNAVAILABLE)");
}

TEST(ErrorText, ExplainsAHandshakeThatFailed) {
  const auto text = [](const std::string& error) {
    return ErrorText(grpc::Status(grpc::StatusCode::UNAVAILABLE,
                                  "failed to connect to all addresses; last error: " + error));
  };
  EXPECT_NE(text("Ssl handshake failed: certificate verify failed").find("by what --ca has"),
            std::string::npos);
  EXPECT_NE(text("Peer name node7 is not in peer certificate").find("is for another name"),
            std::string::npos);
  EXPECT_NE(text("Socket closed").find("its client_ca signs"), std::string::npos);
  EXPECT_EQ(text("Connection refused"),
            "failed to connect to all addresses; last error: Connection refused (UNAVAILABLE)");
}

TEST(ExitCodeOf, TellsARefusalFromADaemonThatIsNotThere) {
  EXPECT_EQ(ExitCodeOf(grpc::Status::OK), ExitCode::kOk);
  EXPECT_EQ(ExitCodeOf(OverTheWire(Refusal("DEVICE_UNAVAILABLE", "hlbuf"))), ExitCode::kFailed);
  EXPECT_EQ(ExitCodeOf(grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed")),
            ExitCode::kUnreachable);
  EXPECT_EQ(ExitCodeOf(grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "")), ExitCode::kFailed);
}

}  // namespace
}  // namespace hlbuf::ctl
