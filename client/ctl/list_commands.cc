// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "client/ctl/commands.h"
#include "client/ctl/connection.h"
#include "client/ctl/console.h"
#include "client/ctl/fetch.h"
#include "client/ctl/json.h"
#include "client/ctl/listings.h"
#include "client/ctl/options.h"
#include "client/ctl/rpc_error.h"

namespace hlbuf::ctl {
namespace {

constexpr const char* kDevices =
    R"(Shows their state, their epoch, and how much of their memory is out. The epoch grows with each
reset; where it starts has no meaning. Everybody sees every device.)";

constexpr const char* kBuffers =
    R"(One that is DRAINING was asked back or given up, and somebody still has it; the note says
what the kernel counts.)";

constexpr const char* kLeases =
    R"(BY SHARE is the share that allowed it. A lease that is OVERDUE was asked back and not
returned in time.)";

constexpr const char* kSessions =
    R"(CLIENT is what the client calls itself. A session that is PARKED is over, but what was sent
to it may not all have been received.)";

template <class Request, class Response>
ExitCode List(const Invocation& invocation, UnaryCall<Request, Response> call,
              const Request& request) {
  const absl::StatusOr<std::unique_ptr<Stub>> stub = Connect(invocation);
  if (!stub.ok()) return Unreachable(stub.status());
  Response all;
  const grpc::Status status = Fetch(**stub, call, request, all);
  if (!status.ok()) return Conclude(status);
  return Print(invocation.output == Output::kJson ? JsonDocument(all)
                                                  : TableText(all, absl::Now()));
}

// A subcommand that lists what `call` gives; its options fill the request that is returned.
template <class Request, class Response>
std::shared_ptr<Request> SetUp(CLI::App& command, Invocation& invocation,
                               UnaryCall<Request, Response> call) {
  auto request = std::make_shared<Request>();
  command.callback([&invocation, call, request] {
    invocation.run = [call, request](const Invocation& asked) {
      return List(asked, call, *request);
    };
  });
  return request;
}

// Two options, not two names of one: what is wrong with a value is said of the name that was used.
void AddUidWithAlias(CLI::App& command, const std::string& name,
                     const std::function<void(std::uint32_t)>& set,
                     const std::string& description) {
  CLI::Option* const named = AddUid(command, name, set, description);
  AddUid(command, "--uid", set, "the same as " + name)->excludes(named);
}

void AddDevices(CLI::App& app, Invocation& invocation) {
  CLI::App& command = *app.add_subcommand("devices", "List the devices.");
  Explain(command, kDevices);
  const auto request = SetUp(command, invocation, &Stub::ListDevices);
  AddStates<v1::DeviceState>(command, [request](auto state) { request->add_states(state); });
}

void AddBuffers(CLI::App& app, Invocation& invocation) {
  CLI::App& command = *app.add_subcommand("buffers", "List the buffers, the oldest first.");
  Explain(command, kBuffers);
  const auto request = SetUp(command, invocation, &Stub::ListBuffers);
  AddName(
      command, "--device", "DEVICE", [request](auto& name) { request->set_device(name); },
      "of this device");
  AddStates<v1::BufferState>(command, [request](auto state) { request->add_states(state); });
  AddUidWithAlias(
      command, "--owner", [request](auto uid) { request->set_owner_uid(uid); },
      "of this user, in whatever container");
  AddText(
      command, "--container", "ID", [request](auto& id) { request->set_owner_container(id); },
      "of this container; '' for outside of containers");
}

void AddLeases(CLI::App& app, Invocation& invocation) {
  CLI::App& command = *app.add_subcommand("leases", "List the leases: who holds which buffer.");
  Explain(command, kLeases);
  const auto request = SetUp(command, invocation, &Stub::ListLeases);
  AddName(
      command, "--device", "DEVICE", [request](auto& name) { request->set_device(name); },
      "of buffers of this device");
  AddStates<v1::LeaseState>(command, [request](auto state) { request->add_states(state); });
  AddUidWithAlias(
      command, "--holder", [request](auto uid) { request->set_holder_uid(uid); },
      "held by this user, in whatever container");
  AddText(
      command, "--container", "ID", [request](auto& id) { request->set_holder_container(id); },
      "held in this container; '' for outside of containers");
  AddUid(
      command, "--owner", [request](auto uid) { request->set_owner_uid(uid); },
      "of buffers of this user, in whatever container");
  AddName(
      command, "--buffer", "ID", [request](auto& id) { request->set_buffer_id(id); },
      "of this buffer");
  AddName(
      command, "--session", "ID", [request](auto& id) { request->set_session_id(id); },
      "of this session");
}

void AddSessions(CLI::App& app, Invocation& invocation) {
  CLI::App& command = *app.add_subcommand("sessions", "List the connections of clients.");
  Explain(command, kSessions);
  const auto request = SetUp(command, invocation, &Stub::ListSessions);
  AddStates<v1::SessionState>(command, [request](auto state) { request->add_states(state); });
  AddUid(
      command, "--uid", [request](auto uid) { request->set_uid(uid); },
      "of this user, in whatever container");
  AddText(
      command, "--container", "ID", [request](auto& id) { request->set_container(id); },
      "of this container; '' for outside of containers");
}

}  // namespace

void AddListCommands(CLI::App& app, Invocation& invocation) {
  AddDevices(app, invocation);
  AddBuffers(app, invocation);
  AddLeases(app, invocation);
  AddSessions(app, invocation);
}

}  // namespace hlbuf::ctl
