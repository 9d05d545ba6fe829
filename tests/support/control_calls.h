// SPDX-License-Identifier: Apache-2.0
// Calls of the control API as tests make them.
#ifndef HLBUF_TESTS_SUPPORT_CONTROL_CALLS_H_
#define HLBUF_TESTS_SUPPORT_CONTROL_CALLS_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "proto/wire/unique_fd.h"
#include "tests/support/control_rig.h"

namespace hlbuf {

// How long a call may take until its test has failed.
inline std::chrono::system_clock::time_point CallDeadline() {
  return std::chrono::system_clock::now() + std::chrono::seconds(30);
}

template <class Request, class Response>
using Method = grpc::Status (hlbuf::v1::Control::Stub::*)(grpc::ClientContext*, const Request&,
                                                          Response*);

// A call that is answered.
template <class Request, class Response>
Response Call(hlbuf::v1::Control::Stub& stub, Method<Request, Response> method,
              const Request& request = Request()) {
  grpc::ClientContext context;
  context.set_deadline(CallDeadline());
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  EXPECT_EQ(ReasonOf(status), "OK") << status.error_message();
  return response;
}

// The reason with which a call is refused, or "OK".
template <class Request, class Response>
std::string Refusal(hlbuf::v1::Control::Stub& stub, Method<Request, Response> method,
                    const Request& request = Request()) {
  grpc::ClientContext context;
  context.set_deadline(CallDeadline());
  Response response;
  return ReasonOf((stub.*method)(&context, request, &response));
}

// grpc.health.v1 by hand: Debian has no library of its messages. A service's status in words.
std::string HealthOf(const std::shared_ptr<grpc::Channel>& channel, const std::string& service);

// grpc.reflection, likewise. One call, which lasts as long as this.
class ReflectionCall {
 public:
  explicit ReflectionCall(const std::shared_ptr<grpc::Channel>& channel);
  ~ReflectionCall();
  // Names of the services, with other bytes between them; empty when the call is refused.
  std::string Services();

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> stream_;
};

// A connection of something that does not speak HTTP/2. Empty when nobody listens.
UniqueFd RawConnect(const std::string& path);

// Reads until the other end closes; false when it has not in 30 s.
bool IsClosed(int socket);

// Connections that bring descriptors along, broken off in every way; then how many of those this
// process has.
std::size_t DescriptorsLeftBehind(ControlRig& rig);

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_CONTROL_CALLS_H_
