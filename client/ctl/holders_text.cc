// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/holders_text.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/ctl/format.h"
#include "client/ctl/table.h"

namespace hlbuf::ctl {
namespace {

// The rows of one buffer.
class Rows {
 public:
  Rows(const v1::BufferHolders& holders, Table& table) : holders_(holders), table_(table) {}

  void AddAll() {
    for (const v1::OutsideHolder& process : holders_.processes())
      Add(OutsideText(process), HeldText(process), LeaseText(process));
    if (holders_.processes_left_out() > 0)
      Add(absl::StrCat(holders_.processes_left_out(), " more processes"), "", "");
    AddUnseenLeases();
    for (const std::string& importer : holders_.importers())
      Add("importer " + importer, "1 attachment", "");
    if (holders_.importers_left_out() > 0)
      Add("more importers", CountText(holders_.importers_left_out(), "attachment"), "");
    for (const v1::Session& session : holders_.in_flight())
      Add(absl::StrCat("perhaps in flight to session ", session.id(), " (",
                       PeerText(session.peer()), ")"),
          CountText(session.in_flight_fds(), "descriptor"), "");
    if (holders_.unexplained() > 0)
      Add("unexplained", CountText(holders_.unexplained(), "reference"), "");
    if (!any_ && holders_.looked_for()) Add("nobody", "", "");
  }

 private:
  void Add(const std::string& who, const std::string& what, const std::string& lease) {
    any_ = true;
    table_.Add({holders_.buffer().id(), holders_.buffer().name(), who, what, lease});
  }

  std::string LeaseText(const v1::OutsideHolder& process) const {
    if (!process.has_has_lease()) return "unknown";
    for (const v1::Lease& lease : holders_.leases())
      if (lease.holder().pid() == process.pid())
        return absl::StrCat(StateText(lease.state()), ", session ", lease.session_id());
    return "NONE";
  }

  // Who has a lease, and was not seen to have anything: perhaps it has not received it yet, or has
  // registered it and closed its descriptor, or nobody could look.
  void AddUnseenLeases() {
    for (const v1::Lease& lease : holders_.leases()) {
      const bool seen =
          std::any_of(holders_.processes().begin(), holders_.processes().end(),
                      [&lease](const v1::OutsideHolder& process) {
                        return process.has_lease() && process.pid() == lease.holder().pid();
                      });
      if (!seen)
        Add(PeerText(lease.holder()), "",
            absl::StrCat(StateText(lease.state()), ", session ", lease.session_id()));
    }
  }

  const v1::BufferHolders& holders_;
  Table& table_;
  bool any_ = false;
};

std::string SumText(const v1::BufferHolders& holders) {
  if (!holders.has_count()) return "";
  std::uint64_t descriptors = 0, mappings = 0;
  for (const v1::OutsideHolder& process : holders.processes()) {
    descriptors += process.descriptors();
    mappings += process.mappings();
  }
  const std::uint64_t attachments =
      static_cast<std::uint64_t>(holders.importers_size()) + holders.importers_left_out();
  return absl::StrCat("buffer ", PrintableText(holders.buffer().id()), ": the kernel counts ",
                      CountText(holders.count(), "reference"), ": ", holders.own_references(),
                      " of the service, ", CountText(descriptors, "descriptor"), ", ",
                      CountText(mappings, "mapping"), ", ", CountText(attachments, "attachment"),
                      ", ", holders.unexplained(), " unexplained\n");
}

// Nobody found is nobody there only where everything was looked at.
std::string ScopeText(const v1::HoldersScope& scope) {
  if (!scope.failure().empty())
    return absl::StrCat(
        "Nobody could look at processes and drivers: ", PrintableText(scope.failure()), "\n");
  std::string text;
  if (scope.fd_unreadable() > 0 || scope.maps_unreadable() > 0)
    absl::StrAppend(&text, "Of ", scope.processes(), " processes, ", scope.fd_unreadable(),
                    " do not let their descriptors be read, and ", scope.maps_unreadable(),
                    " their mappings: that takes root (CAP_SYS_PTRACE).\n");
  if (!scope.importers_failure().empty())
    absl::StrAppend(&text, "Importers are not known: /sys/kernel/debug/dma_buf/bufinfo: ",
                    PrintableText(scope.importers_failure()),
                    scope.importers_failure() == std::strerror(ETIMEDOUT)
                        ? "; ask again.\n"
                        : "; that takes root, and debugfs mounted.\n");
  if (scope.cut_short())
    absl::StrAppend(&text, "Time was over before all processes had been looked at; ask again.\n");
  if (scope.processes_hidden())
    absl::StrAppend(&text, "There can be processes that /proc does not show here: ask outside of ",
                    "containers, in the node's own pid namespace, and as root where /proc is ",
                    "mounted with hidepid=.\n");
  if (scope.other_pids())
    absl::StrAppend(&text, "The service is in another pid namespace, or it could not be told: who ",
                    "has a lease is known by session only.\n");
  return text;
}

}  // namespace

std::string HoldersText(const v1::HoldersReport& report) {
  Table table({"BUFFER", "NAME", "HOLDER", "HAS", "LEASE"});
  std::string sums;
  bool unexplained = false;
  for (const v1::BufferHolders& holders : report.buffers()) {
    Rows(holders, table).AddAll();
    sums += SumText(holders);
    unexplained = unexplained || holders.unexplained() > 0;
  }
  if (unexplained)
    absl::StrAppend(&sums, "What is unexplained is in a message that nobody has read yet, or a ",
                    "driver took more than one reference for an attachment.\n");
  return table.Text() + sums + ScopeText(report.scope());
}

}  // namespace hlbuf::ctl
