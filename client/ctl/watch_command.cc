// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "client/ctl/commands.h"
#include "client/ctl/connection.h"
#include "client/ctl/console.h"
#include "client/ctl/event_lines.h"
#include "client/ctl/event_reader.h"
#include "client/ctl/options.h"
#include "client/ctl/rpc_error.h"
#include "client/ctl/stop_signals.h"

namespace hlbuf::ctl {
namespace {

constexpr const char* kWatch =
    R"(Begins with what happens from now on, and ends with status 0 when it is stopped; with 1 when the
daemon stops, and says so, or with 3 when it dies. The head, or the first line of JSON, which has no
event, shows that the watch has begun.

Each line begins with its position, LIFE:NUMBER: the life of the daemon, and the number of the
event in it. With --output json each line is a WatchEventsResponse with at most one event or gap,
and `next` is one more than its NUMBER. A gap stands for events that were forgotten before this
watcher took them; those of its numbers that are still known follow it. Leases are told only while
somebody watches them: --since with --leases has a gap where nobody did. After a restart of the
daemon --since with an old life tells everything that the new life knows.)";

void AskForAllKinds(v1::WatchEventsRequest& request) {
  const google::protobuf::EnumDescriptor& kinds = *v1::EventKind_descriptor();
  for (int i = 0; i < kinds.value_count(); ++i)
    if (kinds.value(i)->number() != v1::EVENT_KIND_UNSPECIFIED)
      request.add_kinds(static_cast<v1::EventKind>(kinds.value(i)->number()));
}

// True when it was a signal, false when the call is over by itself.
bool WaitForSignal(const StopSignals& signals, const EventReader& reader) {
  pollfd fds[] = {{.fd = signals.fd(), .events = POLLIN},
                  {.fd = reader.done_fd(), .events = POLLIN}};
  while (::poll(fds, 2, -1) < 0) continue;
  return fds[1].revents == 0;
}

void WaitUntilOver(const EventReader& reader) {
  pollfd done = {.fd = reader.done_fd(), .events = POLLIN};
  while (::poll(&done, 1, -1) < 0) continue;
}

ExitCode Watch(const Invocation& invocation, const v1::WatchEventsRequest& request) {
  std::optional<StopSignals> signals(std::in_place);
  const absl::StatusOr<std::unique_ptr<Stub>> stub = Connect(invocation);
  if (!stub.ok()) return Unreachable(stub.status());
  std::atomic<bool> printed = true;
  EventReader reader(**stub, request, [&](const v1::WatchEventsResponse& response) {
    printed =
        Print(invocation.output == Output::kJson ? EventJsonLines(response)
                                                 : EventTableLines(response)) == ExitCode::kOk;
    return printed.load();
  });
  const bool stopped = WaitForSignal(*signals, reader);
  signals.reset();  // a second signal ends a program whose output nobody reads
  if (stopped) reader.Cancel();
  WaitUntilOver(reader);
  if (!printed) return ExitCode::kFailed;
  return stopped ? ExitCode::kOk : Conclude(reader.status());
}

}  // namespace

void AddWatchCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& command = *app.add_subcommand(
      "watch", "Tell what happens, a line for each event, until SIGINT or SIGTERM.");
  Explain(command, kWatch);
  const auto request = std::make_shared<v1::WatchEventsRequest>();
  AddText(
      command, "--since", "LIFE:NUMBER",
      [request](auto& position) { ResumeAfter(position, *request); },
      "begin after this event, the last one that was seen")
      ->check([](const std::string& position) -> std::string {
        v1::WatchEventsRequest scratch;
        return ResumeAfter(position, scratch)
                   ? ""
                   : "'" + position + "' is no position, as lines begin with one";
      });
  AddName(
      command, "--device", "DEVICE", [request](auto& name) { request->set_device(name); },
      "only of this device");
  AddValues<v1::EventKind>(command, "kind", "only events of any of these kinds",
                           [request](auto kind) { request->add_kinds(kind); });
  command.add_flag_callback(
      "--leases", [request] { AskForAllKinds(*request); },
      "events of every kind, also each lease that is granted or ends; leases are left out where\n"
      "neither this nor --kind asks for them");
  command.callback([&invocation, request] {
    invocation.run = [request](const Invocation& asked) { return Watch(asked, *request); };
  });
}

}  // namespace hlbuf::ctl
