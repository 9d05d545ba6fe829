// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/health_probe.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstddef>
#include <future>
#include <utility>

namespace hlbuf {
namespace {

struct Call {
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

HealthProbe::HealthProbe(Poster& poster, const std::vector<grpc::Server*>& servers)
    : poster_(poster) {
  for (grpc::Server* server : servers)
    stubs_.push_back(
        std::make_unique<grpc::GenericStub>(server->InProcessChannel(grpc::ChannelArguments())));
}

HealthProbe::~HealthProbe() {
  if (question_ == nullptr) return;
  for (Call& call : question_->calls) call.context.TryCancel();
  question_->over.get_future().wait();
}

void HealthProbe::Ask(Done done) {
  question_ = std::make_shared<Question>(stubs_.size(), std::move(done));
  // An empty request asks about the server as a whole.
  const grpc::Slice nothing;
  for (std::size_t i = 0; i < stubs_.size(); ++i) {
    Call& call = question_->calls[i];
    call.request = grpc::ByteBuffer(&nothing, 1);
    stubs_[i]->UnaryCall(
        &call.context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &call.request,
        &call.response, [this, &call, question = question_](const grpc::Status& status) {
          if (!Serves(status, call.response)) question->serve = false;
          if (--question->waiting > 0) return;
          poster_.Post([question] { std::move(question->done)(question->serve.load()); });
          question->over.set_value();
        });
  }
}

}  // namespace hlbuf
