// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/grpcpp.h>

#include <memory>

#include "client/ctl/commands.h"
#include "client/ctl/connection.h"
#include "client/ctl/console.h"
#include "client/ctl/json.h"
#include "client/ctl/options.h"
#include "client/ctl/rpc_error.h"

namespace hlbuf::ctl {
namespace {

constexpr const char* kMetrics =
    R"(Counters since the daemon's start and gauges as of now, in the OpenMetrics text format, for
scrapers that run a command, or for the textfile collector of node_exporter: write it to another
name in its directory, then rename that. Needs the role viewer.)";

ExitCode PrintMetrics(const Invocation& invocation) {
  const absl::StatusOr<std::unique_ptr<Stub>> stub = Connect(invocation.socket);
  if (!stub.ok()) return Unreachable(stub.status());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::GetMetricsResponse metrics;
  const grpc::Status status = (*stub)->GetMetrics(&context, {}, &metrics);
  if (!status.ok()) return Conclude(status);
  return Print(invocation.output == Output::kJson ? JsonDocument(metrics) : metrics.text());
}

}  // namespace

void AddMetricsCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& command = *app.add_subcommand("metrics", "Print counters and gauges for scrapers.");
  Explain(command, kMetrics);
  command.callback([&invocation] { invocation.run = PrintMetrics; });
}

}  // namespace hlbuf::ctl
