// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/clock.h"
#include "client/ctl/commands.h"
#include "client/ctl/connection.h"
#include "client/ctl/console.h"
#include "client/ctl/json.h"
#include "client/ctl/long_call.h"
#include "client/ctl/options.h"
#include "client/ctl/plans.h"
#include "client/ctl/rpc_error.h"
#include "client/ctl/verdicts.h"

namespace hlbuf::ctl {
namespace {

constexpr const char* kDrain =
    R"(DEVICE is kept out of use from now on, whatever its state and over its resets and restarts of
the service, until `hl-bufctl undrain`: nothing new of it is granted. Jobs that hold some of it run
on; --grace asks it back from them. --wait ends when nothing of it is held by anybody, or after
--timeout, and says meanwhile on standard error who is waited for.

--uid and --job ask back everything that a user or a Slurm job has, and no device is drained: its
buffers end, also for those whom they were shared with; what it holds of others' buffers is asked
back, and those live on. Holders have --grace; --wait ends with their verdicts. In an epilog:

  hl-bufctl drain --job "$SLURM_JOB_ID" --grace 5s --wait

Exit status of --wait: 0 nothing is held any more, 4 somebody still has a buffer. Without it: 0 as
soon as the device is drained, or holders were asked. Needs the role operator.)";

constexpr const char* kUndrain =
    R"(A device that is not drained stays as it is. Needs the role operator.)";

constexpr const char* kPlanReset =
    R"(Says first whether anybody is likely to hold a reset up, then who would be asked for what:

  unread grant  has not taken its last grant, so that no notice reaches it; if it is stopped for
                good, only its end frees what it has
  silent        does not answer: it is stopped, or does not look at its notices
  overdue       was asked before, and did not let go in time

Nothing is changed. Exit status 0 when nothing stands in the way, 4 when something does. Needs the
role viewer.)";

// The service answers a call at the latest after so long; whoever waits longer asks again.
constexpr absl::Duration kCallMax = absl::Minutes(10);
constexpr absl::Duration kFirstReport = absl::Seconds(5);

// What `drain` was told.
struct DrainOptions {
  v1::DrainDeviceRequest device;
  v1::RevokeHoldingsRequest holdings;
  bool wait = false;
  std::optional<absl::Duration> timeout;
};

// Until nothing is held or `deadline`, in calls that the service answers in time. Says now and then
// who is waited for, less often the longer it takes: each call is an entry in the service's log.
grpc::Status DrainUntil(Stub& stub, v1::DrainDeviceRequest request, absl::Time deadline,
                        v1::DrainDeviceResponse& response) {
  for (absl::Duration pause = kFirstReport;; pause = std::min(2 * pause, kCallMax)) {
    const absl::Duration left = std::max(deadline - absl::Now(), absl::ZeroDuration());
    const absl::Duration wait = std::min(left, pause);
    SetDuration(wait, *request.mutable_wait());
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + wait + kPatience));
    const grpc::Status status = stub.DrainDevice(&context, request, &response);
    if (!status.ok() || response.device().used_bytes() == 0 || left <= pause) return status;
    PrintError(WaitingText(response));
    request.clear_grace();  // they know
  }
}

ExitCode DrainDevice(const Invocation& invocation, const DrainOptions& options) {
  const absl::StatusOr<std::unique_ptr<Stub>> stub = Connect(invocation);
  if (!stub.ok()) return Unreachable(stub.status());
  const absl::Duration patience =
      options.wait ? options.timeout.value_or(absl::InfiniteDuration()) : absl::ZeroDuration();
  v1::DrainDeviceResponse response;
  const grpc::Status status = DrainUntil(**stub, options.device, absl::Now() + patience, response);
  if (!status.ok()) return Conclude(status);
  const ExitCode printed =
      Print(invocation.output == Output::kJson ? JsonDocument(response) : DrainText(response));
  const bool held = options.wait && response.held_count() > 0;
  return printed == ExitCode::kOk && held ? ExitCode::kHeld : printed;
}

ExitCode RevokeHoldings(const Invocation& invocation, v1::RevokeHoldingsRequest request,
                        bool wait) {
  LongCall call;
  const absl::StatusOr<std::unique_ptr<Stub>> stub = Connect(invocation);
  if (!stub.ok()) return Unreachable(stub.status());
  request.set_no_wait(!wait);
  v1::RevokeHoldingsResponse response;
  const grpc::Status status =
      call.Run(**stub, &v1::Control::StubInterface::async_interface::RevokeHoldings, request,
               PatienceFor(request), response);
  if (!status.ok()) return call.Conclude(status);
  const ExitCode printed =
      Print(invocation.output == Output::kJson ? JsonDocument(response)
                                               : RevocationText(response.revocation()));
  return printed == ExitCode::kOk && HasHeld(response.revocation()) ? ExitCode::kHeld : printed;
}

ExitCode Undrain(const Invocation& invocation, const v1::UndrainDeviceRequest& request) {
  const absl::StatusOr<std::unique_ptr<Stub>> stub = Connect(invocation);
  if (!stub.ok()) return Unreachable(stub.status());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::Device response;
  const grpc::Status status = (*stub)->UndrainDevice(&context, request, &response);
  if (!status.ok()) return Conclude(status);
  return Print(invocation.output == Output::kJson ? JsonDocument(response) : DeviceText(response));
}

ExitCode PlanReset(const Invocation& invocation, const v1::PlanResetRequest& request) {
  const absl::StatusOr<std::unique_ptr<Stub>> stub = Connect(invocation);
  if (!stub.ok()) return Unreachable(stub.status());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::ResetPlan plan;
  const grpc::Status status = (*stub)->PlanReset(&context, request, &plan);
  if (!status.ok()) return Conclude(status);
  const ExitCode printed =
      Print(invocation.output == Output::kJson ? JsonDocument(plan) : PlanText(plan));
  return printed == ExitCode::kOk && !plan.clear() ? ExitCode::kHeld : printed;
}

// What is to be done; an error of the command line when its options do not go together.
std::function<ExitCode(const Invocation&)> WhatToDrain(const DrainOptions& options) {
  const bool holdings = options.holdings.whose_case() != v1::RevokeHoldingsRequest::WHOSE_NOT_SET;
  if (options.device.device().empty() != holdings)
    throw CLI::ValidationError("name one of DEVICE, --uid and --job");
  if (options.timeout.has_value() && (holdings || !options.wait))
    throw CLI::ValidationError(
        "--timeout goes with DEVICE and --wait; --grace is what holders have");
  if (!holdings) return [options](const Invocation& asked) { return DrainDevice(asked, options); };
  return [options](const Invocation& asked) {
    v1::RevokeHoldingsRequest request = options.holdings;
    if (options.device.has_grace()) *request.mutable_grace() = options.device.grace();
    return RevokeHoldings(asked, std::move(request), options.wait);
  };
}

void AddDrain(CLI::App& app, Invocation& invocation) {
  CLI::App& command = *app.add_subcommand(
      "drain", "Keep a device out of use, or ask back what a user or a job has.");
  Explain(command, kDrain);
  const auto options = std::make_shared<DrainOptions>();
  AddName(
      command, "DEVICE", "", [options](auto& name) { options->device.set_device(name); },
      "its name, as `hl-bufctl devices` shows it");
  CLI::Option* const uid = AddUid(
      command, "--uid", [options](auto id) { options->holdings.set_uid(id); },
      "everything of this user, in whatever container");
  AddNumber(
      command, "--job", "JOB", [options](auto id) { options->holdings.set_job(id); },
      "everything of this Slurm job")
      ->excludes(uid);
  AddGrace(
      command, [options] { return options->device.mutable_grace(); },
      "nobody is asked for what is of DEVICE, and --uid and --job take what is configured "
      "(operator_grace)");
  command.add_flag("--wait", options->wait, "end when nothing is held any more");
  AddDuration(
      command, "--timeout", [options](auto duration) { options->timeout = duration; },
      "with DEVICE and --wait: how long to wait at most; when left out, as long as it takes");
  command.callback([&invocation, options] { invocation.run = WhatToDrain(*options); });
}

void AddUndrain(CLI::App& app, Invocation& invocation) {
  CLI::App& command = *app.add_subcommand("undrain", "Take a drained device into use again.");
  Explain(command, kUndrain);
  const auto request = std::make_shared<v1::UndrainDeviceRequest>();
  AddName(
      command, "DEVICE", "", [request](auto& name) { request->set_device(name); },
      "its name, as `hl-bufctl devices` shows it")
      ->required();
  command.callback([&invocation, request] {
    invocation.run = [request](const Invocation& asked) { return Undrain(asked, *request); };
  });
}

void AddPlanReset(CLI::App& app, Invocation& invocation) {
  CLI::App& command =
      *app.add_subcommand("plan-reset", "Tell what a reset of a device would meet now.");
  Explain(command, kPlanReset);
  const auto request = std::make_shared<v1::PlanResetRequest>();
  request->set_page_size(1000);
  AddName(
      command, "DEVICE", "", [request](auto& name) { request->set_device(name); },
      "its name, as `hl-bufctl devices` shows it")
      ->required();
  command.callback([&invocation, request] {
    invocation.run = [request](const Invocation& asked) { return PlanReset(asked, *request); };
  });
}

}  // namespace

void AddDrainCommands(CLI::App& app, Invocation& invocation) {
  AddDrain(app, invocation);
  AddUndrain(app, invocation);
  AddPlanReset(app, invocation);
}

}  // namespace hlbuf::ctl
