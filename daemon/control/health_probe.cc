// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/health_probe.h"

#include <grpcpp/create_channel_posix.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/server_posix.h>
#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <future>
#include <memory>
#include <utility>

namespace hlbuf {
namespace {

struct Call {
  std::unique_ptr<grpc::GenericStub> stub;
  grpc::ClientContext context;
  grpc::ByteBuffer request;
  grpc::ByteBuffer response;
};

// grpc.health.v1.HealthCheckResponse: one enum, field 1, of which 1 is SERVING. Debian has no
// library of it.
bool Serves(const grpc::Status& status, const grpc::ByteBuffer& response) {
  grpc::Slice bytes;
  return status.ok() && response.DumpToSingleSlice(&bytes).ok() && bytes.size() == 2 &&
         bytes.begin()[0] == 0x08 && bytes.begin()[1] == 1;
}

// Null: no descriptors are left. gRPC owns both ends.
std::unique_ptr<grpc::GenericStub> ConnectTo(grpc::Server& server) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return nullptr;
  grpc::AddInsecureChannelFromFd(&server, ends[0]);
  return std::make_unique<grpc::GenericStub>(grpc::CreateInsecureChannelFromFd("probe", ends[1]));
}

}  // namespace

struct HealthProbe::Question {
  Question(std::size_t servers, Done when_done)
      : calls(servers), waiting(servers), done(std::move(when_done)) {}
  std::vector<Call> calls;
  std::atomic<std::size_t> waiting;
  std::atomic<bool> serve{true};
  Done done;
  std::promise<void> over;  // gRPC has called back for the last time
};

HealthProbe::~HealthProbe() {
  if (question_ == nullptr) return;
  for (Call& call : question_->calls) call.context.TryCancel();
  question_->over.get_future().wait();
}

void HealthProbe::Ask(Done done) {
  question_ = std::make_shared<Question>(servers_.size(), std::move(done));
  // An empty request asks about the server as a whole.
  const grpc::Slice nothing;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    Call& call = question_->calls[i];
    const auto answered = [this, &call, question = question_](const grpc::Status& status) {
      if (!Serves(status, call.response)) question->serve = false;
      if (--question->waiting > 0) return;
      poster_.Post([question] {
        question->calls.clear();  // and their connections
        std::move(question->done)(question->serve.load());
      });
      question->over.set_value();
    };
    call.stub = ConnectTo(*servers_[i]);
    if (call.stub == nullptr) {
      answered(grpc::Status::CANCELLED);
      continue;
    }
    call.request = grpc::ByteBuffer(&nothing, 1);
    call.stub->UnaryCall(&call.context, "/grpc.health.v1.Health/Check", grpc::StubOptions(),
                         &call.request, &call.response, answered);
  }
}

}  // namespace hlbuf
