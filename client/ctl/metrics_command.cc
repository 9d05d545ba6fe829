// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/grpcpp.h>

#include <memory>

#include "client/ctl/commands.h"
#include "client/ctl/connection.h"
#include "client/ctl/console.h"
#include "client/ctl/json.h"
#include "client/ctl/metrics_text.h"
#include "client/ctl/options.h"
#include "client/ctl/rpc_error.h"

namespace hlbuf::ctl {
namespace {

constexpr const char* kMetrics =
    R"(Counters since the daemon's start and gauges as of now, for scrapers that run a command. The
textfile collector of node_exporter reads --format prometheus, the text format 0.0.4; of OpenMetrics
it would take counters for untyped. Write it to another name in its directory, then rename that.
Needs the role viewer.)";

ExitCode PrintMetrics(const Invocation& invocation, bool prometheus) {
  const absl::StatusOr<std::unique_ptr<Stub>> stub = Connect(invocation);
  if (!stub.ok()) return Unreachable(stub.status());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::GetMetricsResponse metrics;
  const grpc::Status status = (*stub)->GetMetrics(&context, {}, &metrics);
  if (!status.ok()) return Conclude(status);
  if (prometheus) metrics.set_text(PrometheusText(metrics.text()));
  return Print(invocation.output == Output::kJson ? JsonDocument(metrics) : metrics.text());
}

}  // namespace

void AddMetricsCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& command = *app.add_subcommand("metrics", "Print counters and gauges for scrapers.");
  Explain(command, kMetrics);
  const auto prometheus = std::make_shared<bool>(false);
  AddText(
      command, "--format", "openmetrics|prometheus",
      [prometheus](auto& format) { *prometheus = format == "prometheus"; },
      "OpenMetrics 1.0 (default), or the older text format of Prometheus")
      ->check([](const std::string& format) -> std::string {
        return format == "openmetrics" || format == "prometheus"
                   ? ""
                   : "it is openmetrics or prometheus";
      });
  command.callback([&invocation, prometheus] {
    invocation.run = [prometheus](const Invocation& asked) {
      return PrintMetrics(asked, *prometheus);
    };
  });
}

}  // namespace hlbuf::ctl
