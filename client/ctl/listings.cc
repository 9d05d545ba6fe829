// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/listings.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/ctl/format.h"
#include "client/ctl/table.h"

namespace hlbuf::ctl {
namespace {

std::string Note(const v1::Device& device, absl::Time now) {
  std::vector<std::string> notes;
  if (!device.failure().empty()) notes.push_back(device.failure());
  if (!device.warning().empty()) notes.push_back(device.warning());
  if (!device.drained_by().empty())
    notes.push_back(absl::StrCat("drained by ", device.drained_by(), " ",
                                 AgeText(device.drained_time(), now), " ago"));
  if (device.is_default()) notes.push_back("default");
  if (device.can_drill()) notes.push_back("takes drills");
  if (!device.counts_references()) notes.push_back("counts no references");
  return absl::StrJoin(notes, ", ");
}

std::string Note(const v1::Buffer& buffer) {
  std::vector<std::string> notes;
  if (buffer.revoke_reason() != v1::REVOKE_REASON_UNSPECIFIED)
    notes.push_back(absl::StrCat("asked back: ", ReasonText(buffer.revoke_reason())));
  if (buffer.has_verdict()) notes.push_back(VerdictText(buffer.verdict().kind()));
  if (buffer.has_given_up_time()) notes.push_back("given up in a reset");
  if (buffer.references() != 0) notes.push_back(CountText(buffer.references(), "reference"));
  return absl::StrJoin(notes, ", ");
}

std::string Note(const v1::Session& session, absl::Time now) {
  std::vector<std::string> notes;
  if (session.in_flight_fds() != 0)
    notes.push_back(CountText(session.in_flight_fds(), "descriptor") + " in flight");
  if (session.has_unanswered_ping_time())
    notes.push_back(absl::StrCat("silent for ", AgeText(session.unanswered_ping_time(), now)));
  return absl::StrJoin(notes, ", ");
}

std::string Shares(const v1::Buffer& buffer) {
  std::vector<std::string> grantees;
  for (const v1::Grantee& grantee : buffer.shares()) grantees.push_back(GranteeText(grantee));
  return absl::StrJoin(grantees, ", ");
}

}  // namespace

std::string TableText(const v1::ListDevicesResponse& response, absl::Time now) {
  Table table({"NAME", "KIND", "STATE", "EPOCH", "USED", "TOTAL", "LARGEST", "NOTE"});
  for (const v1::Device& device : response.devices())
    table.Add({device.name(), device.kind(), StateText(device.state()),
               absl::StrCat(device.epoch()), SizeText(device.used_bytes()),
               device.total_bytes() == 0 ? "" : SizeText(device.total_bytes()),
               SizeText(device.buffer_bytes_max()), Note(device, now)});
  std::string text = table.Text();
  for (const v1::Device& device : response.devices())
    if (device.reserved_bytes() > 0)
      absl::StrAppend(&text, PrintableText(device.name()), ": ", SizeText(device.reserved_bytes()),
                      " are free, but reserved to domains whose bytes are still there; ",
                      PrintableText(device.reserved_hint()), "\n");
  return text;
}

std::string TableText(const v1::ListBuffersResponse& response, absl::Time now) {
  Table table(
      {"ID", "NAME", "DEVICE", "STATE", "SIZE", "OWNER", "SHARED WITH", "LEASES", "AGE", "NOTE"});
  for (const v1::Buffer& buffer : response.buffers())
    table.Add({buffer.id(), buffer.name(), buffer.device(), StateText(buffer.state()),
               SizeText(buffer.size_bytes()), DomainText(buffer.owner()), Shares(buffer),
               absl::StrCat(buffer.lease_count()), AgeText(buffer.create_time(), now),
               Note(buffer)});
  return table.Text();
}

std::string TableText(const v1::ListLeasesResponse& response, absl::Time now) {
  Table table({"ID", "BUFFER", "NAME", "DEVICE", "STATE", "HOLDER", "SESSION", "BY SHARE", "AGE"});
  for (const v1::Lease& lease : response.leases())
    table.Add({lease.id(), lease.buffer_id(), lease.buffer_name(), lease.device(),
               StateText(lease.state()), PeerText(lease.holder()), lease.session_id(),
               GranteeText(lease.share()), AgeText(lease.create_time(), now)});
  return table.Text();
}

std::string TableText(const v1::ListSessionsResponse& response, absl::Time now) {
  Table table({"ID", "CLIENT", "STATE", "PEER", "UNIT", "LEASES", "AGE", "NOTE"});
  for (const v1::Session& session : response.sessions())
    table.Add({session.id(), session.client(), StateText(session.state()), PeerText(session.peer()),
               session.peer().unit(), absl::StrCat(session.lease_count()),
               AgeText(session.create_time(), now), Note(session, now)});
  return table.Text();
}

}  // namespace hlbuf::ctl
