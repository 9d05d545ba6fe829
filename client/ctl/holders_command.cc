// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/ctl/commands.h"
#include "client/ctl/connection.h"
#include "client/ctl/console.h"
#include "client/ctl/fetch.h"
#include "client/ctl/holders_program.h"
#include "client/ctl/holders_report.h"
#include "client/ctl/holders_text.h"
#include "client/ctl/installed_program.h"
#include "client/ctl/json.h"
#include "client/ctl/listener_process.h"
#include "client/ctl/options.h"
#include "client/ctl/rpc_error.h"

namespace hlbuf::ctl {
namespace {

constexpr const char* kHolders =
    R"(Shows, of one buffer or of all of a device: processes that have it, found by its inode in all
of /proc, with what they have and their lease, NONE for who has none; sessions with a lease that
were not seen to have anything; drivers that have it attached; sessions to which a descriptor may
be on its way; and what the kernel counts beyond all of that. The service's own copies are no
holders.

Run it as root, on the machine of the service: other processes cannot be looked at otherwise. What
could not be looked at is said. It asks hl-bufd-holders, which it finds beside itself, where that is
installed, or by --program.

The sum is honest, not exact: processes come and go while they are looked at, and some drivers take
more than one reference for an attachment (vgem takes three).

Exit status 4 when somebody without a lease has a buffer, or references are unexplained; else 1 when
somebody may have been missed.)";

struct Question {
  std::string name;     // of a device, or a buffer's id
  std::string program;  // empty: to be found
};

// Who serves at the control socket: whose copies are nobody else's.
void IdentifyDaemon(const std::string& path, DaemonSide& daemon) {
  const std::optional<ListenerProcess> listener = FindListener(path);
  if (!listener) return;
  daemon.pid = listener->pid;
  daemon.uid = listener->uid;
  struct stat its = {};
  if (::stat(absl::StrCat("/proc/", daemon.pid, "/ns/pid").c_str(), &its) == 0)
    daemon.pid_namespace = its.st_ino;
}

// Of the device or the buffer that was asked for.
grpc::Status FetchLeases(Stub& stub, const DaemonSide& daemon, const std::string& name,
                         v1::ListLeasesResponse& leases) {
  v1::ListLeasesRequest request;
  if (daemon.devices.devices(0).name() == name)
    request.set_device(name);
  else
    request.set_buffer_id(name);
  return Fetch(stub, &Stub::ListLeases, request, leases);
}

grpc::Status FetchBuffer(Stub& stub, const std::string& id, DaemonSide& daemon) {
  v1::GetBufferRequest buffer;
  buffer.set_id(id);
  if (const grpc::Status status =
          FetchOne(stub, &Stub::GetBuffer, buffer, *daemon.buffers.add_buffers());
      !status.ok())
    return status;
  v1::GetDeviceRequest device;
  device.set_name(daemon.buffers.buffers(0).device());
  if (const grpc::Status status =
          FetchOne(stub, &Stub::GetDevice, device, *daemon.devices.add_devices());
      !status.ok())
    return status;
  return FetchLeases(stub, daemon, id, daemon.leases);
}

grpc::Status FetchDevice(Stub& stub, const v1::Device& device, DaemonSide& daemon) {
  *daemon.devices.add_devices() = device;
  v1::ListBuffersRequest buffers;
  buffers.set_device(device.name());
  if (const grpc::Status status = Fetch(stub, &Stub::ListBuffers, buffers, daemon.buffers);
      !status.ok())
    return status;
  return FetchLeases(stub, daemon, device.name(), daemon.leases);
}

// `missing` says why there is no device of this name, in what programs read.
grpc::Status NeitherDeviceNorBuffer(const std::string& name, const grpc::Status& missing) {
  return {grpc::StatusCode::NOT_FOUND,
          absl::StrCat("there is no device and no buffer '", name,
                       "'; `hl-bufctl devices` and `hl-bufctl buffers` show those that are"),
          missing.error_details()};
}

// A device by that name, or else a buffer by that id.
grpc::Status FetchDaemonSide(Stub& stub, const std::string& name, DaemonSide& daemon) {
  v1::GetDeviceRequest request;
  request.set_name(name);
  v1::Device device;
  grpc::Status status = FetchOne(stub, &Stub::GetDevice, request, device);
  if (status.ok()) {
    status = FetchDevice(stub, device, daemon);
  } else if (const grpc::Status missing = status;
             missing.error_code() == grpc::StatusCode::NOT_FOUND) {
    status = FetchBuffer(stub, name, daemon);
    // A name that is no id was refused as an id.
    if (status.error_code() == grpc::StatusCode::NOT_FOUND ||
        status.error_code() == grpc::StatusCode::INVALID_ARGUMENT)
      status = NeitherDeviceNorBuffer(name, missing);
  }
  if (!status.ok()) return status;
  return Fetch(stub, &Stub::ListSessions, v1::ListSessionsRequest(), daemon.sessions);
}

absl::StatusOr<HoldersAnswer> Look(const Question& question, const DaemonSide& daemon) {
  const std::string program =
      question.program.empty() ? FindInstalledProgram("hl-bufd-holders") : question.program;
  if (program.empty())
    return absl::NotFoundError("there is no hl-bufd-holders; name it by --program");
  return AskHolders(program, FilesOf(daemon));
}

ExitCode ShowHolders(const Invocation& invocation, const Question& question) {
  if (!IsHere(invocation, "holders")) return ExitCode::kBadUsage;
  const absl::StatusOr<std::unique_ptr<Stub>> stub = Connect(invocation);
  if (!stub.ok()) return Unreachable(stub.status());
  DaemonSide daemon;
  const grpc::Status status = FetchDaemonSide(**stub, question.name, daemon);
  if (!status.ok()) return Conclude(status);
  IdentifyDaemon(invocation.socket, daemon);
  const absl::StatusOr<HoldersAnswer> answer = Look(question, daemon);
  v1::ListLeasesResponse later;
  if (const grpc::Status again = FetchLeases(**stub, daemon, question.name, later); !again.ok())
    return Conclude(again);
  AddLaterLeases(later, daemon);
  const v1::HoldersReport report = MakeReport(daemon, answer);
  const ExitCode printed =
      Print(invocation.output == Output::kJson ? JsonDocument(report) : HoldersText(report));
  if (printed != ExitCode::kOk) return printed;
  if (HasStrangers(report)) return ExitCode::kHeld;
  return MayMissSomebody(report) ? ExitCode::kFailed : ExitCode::kOk;
}

}  // namespace

void AddHoldersCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& command =
      *app.add_subcommand("holders", "Show which processes and drivers have a buffer; as root.");
  Explain(command, kHolders);
  const auto question = std::make_shared<Question>();
  AddName(
      command, "BUFFER|DEVICE", "", [question](auto& name) { question->name = name; },
      "a buffer's id, or a device's name, as hl-bufctl lists them")
      ->required();
  AddText(
      command, "--program", "PATH", [question](auto& path) { question->program = path; },
      "hl-bufd-holders, if it is elsewhere");
  command.callback([&invocation, question] {
    invocation.run = [question](const Invocation& asked) { return ShowHolders(asked, *question); };
  });
}

}  // namespace hlbuf::ctl
