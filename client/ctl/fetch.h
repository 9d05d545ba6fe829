// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_FETCH_H_
#define HLBUF_CLIENT_CTL_FETCH_H_

#include <grpcpp/grpcpp.h>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/ctl/connection.h"

namespace hlbuf::ctl {

inline constexpr int kPageSize = 1000;

template <class Request, class Response>
using UnaryCall = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

// One answer that comes at once.
template <class Request, class Response>
grpc::Status FetchOne(Stub& stub, UnaryCall<Request, Response> call, const Request& request,
                      Response& response) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  return (stub.*call)(&context, request, &response);
}

// All pages in one response.
template <class Request, class Response>
grpc::Status Fetch(Stub& stub, UnaryCall<Request, Response> call, Request request, Response& all) {
  request.set_page_size(kPageSize);
  do {
    Response page;
    const grpc::Status status = FetchOne(stub, call, request, page);
    if (!status.ok()) return status;
    request.set_page_token(page.next_page_token());
    all.MergeFrom(page);
  } while (!request.page_token().empty());
  all.clear_next_page_token();
  return grpc::Status::OK;
}

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_FETCH_H_
