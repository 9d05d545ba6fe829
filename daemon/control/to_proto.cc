// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/to_proto.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"

namespace hlbuf {
namespace {

// A reset can settle more buffers, with more holders, than gRPC puts into one message (4 MiB).
// Names of containers in containers can be as long as a path.
constexpr int kHoldersMax = 16;
constexpr int kVerdictsMax = 1000;
constexpr std::size_t kVerdictBytesMax = 3 << 20;

hlbuf::v1::Grantee ToProto(const Grantee& grantee) {
  hlbuf::v1::Grantee proto;
  if (grantee.kind == Grantee::Kind::kUid)
    proto.set_uid(grantee.id);
  else
    proto.set_gid(grantee.id);
  return proto;
}

// Has the numbers of the API's.
hlbuf::v1::RevokeReason ToProto(RevokeReason reason) {
  return static_cast<hlbuf::v1::RevokeReason>(reason);
}

hlbuf::v1::OutsideHolder ToProto(const OutsideHolder& holder) {
  hlbuf::v1::OutsideHolder proto;
  proto.set_pid(holder.pid);
  proto.set_uid(holder.uid);
  proto.set_command(holder.command);
  proto.set_descriptors(holder.descriptors);
  proto.set_mappings(holder.mappings);
  if (holder.has_lease.has_value()) proto.set_has_lease(*holder.has_lease);
  return proto;
}

// As many of `all` as a verdict has room for, by `add`; how many more there are.
template <class T, class Add>
std::uint32_t AddSome(const std::vector<T>& all, Add add) {
  const std::size_t some = std::min<std::size_t>(all.size(), kHoldersMax);
  for (std::size_t i = 0; i < some; ++i) add(all[i]);
  return static_cast<std::uint32_t>(all.size() - some);
}

void AddOutside(const OutsideHolders& found, hlbuf::v1::BufferVerdict& proto) {
  proto.set_outside_known(true);
  proto.set_outside_left_out(found.holders_left_out +
                             AddSome(found.holders, [&proto](const OutsideHolder& holder) {
                               *proto.add_outside() = ToProto(holder);
                             }));
  proto.set_importers_left_out(
      found.importers_left_out +
      AddSome(found.importers, [&proto](const std::string& name) { proto.add_importers(name); }));
  if (found.unexplained.has_value()) proto.set_unexplained(*found.unexplained);
  proto.set_outside_incomplete(!found.all_seen || !found.importers_known);
}

hlbuf::v1::BufferVerdict ToProto(const BufferVerdict& settled) {
  hlbuf::v1::BufferVerdict proto;
  proto.set_buffer_id(IdText(settled.buffer));
  proto.set_buffer_name(settled.name);
  *proto.mutable_owner() = ToProto(settled.owner);
  *proto.mutable_verdict() = ToProto(settled.verdict);
  for (const Holder& holder : settled.holders) {
    if (proto.holders_size() == kHoldersMax) break;
    *proto.add_holders() = ToProto(holder);
  }
  proto.set_holders_left_out(static_cast<std::uint32_t>(settled.holders.size()) -
                             static_cast<std::uint32_t>(proto.holders_size()));
  if (settled.outside.has_value()) AddOutside(*settled.outside, proto);
  return proto;
}

void Count(Verdict::Kind kind, hlbuf::v1::Revocation& revocation) {
  switch (kind) {
    case Verdict::Kind::kProven:
      return revocation.set_proven_count(revocation.proven_count() + 1);
    case Verdict::Kind::kAcknowledged:
      return revocation.set_acknowledged_count(revocation.acknowledged_count() + 1);
    case Verdict::Kind::kHeld:
      return revocation.set_held_count(revocation.held_count() + 1);
  }
}

std::vector<const BufferVerdict*> HeldFirst(const std::vector<BufferVerdict>& verdicts) {
  std::vector<const BufferVerdict*> order;
  order.reserve(verdicts.size());
  for (const BufferVerdict& settled : verdicts) order.push_back(&settled);
  std::stable_partition(order.begin(), order.end(), [](const BufferVerdict* settled) {
    return settled->verdict.kind == Verdict::Kind::kHeld;
  });
  return order;
}

// As many as fit; all are counted.
void AddVerdicts(const std::vector<BufferVerdict>& verdicts, hlbuf::v1::Revocation& revocation) {
  std::size_t bytes = 0;
  for (const BufferVerdict* settled : HeldFirst(verdicts)) {
    Count(settled->verdict.kind, revocation);
    if (revocation.verdicts_size() == kVerdictsMax || bytes >= kVerdictBytesMax) continue;
    hlbuf::v1::BufferVerdict& added = *revocation.add_verdicts();
    added = ToProto(*settled);
    bytes += added.ByteSizeLong();
  }
}

// Empty for the id that names nothing.
template <class Tag>
std::string TextOf(Id<Tag> id) {
  return id ? IdText(id) : std::string();
}

}  // namespace

google::protobuf::Timestamp WallTimes::operator()(absl::Time time) const {
  constexpr std::int64_t kMillis = 1000, kNanosPerMilli = 1'000'000;
  const std::int64_t millis = absl::ToUnixMillis(time + offset_);
  google::protobuf::Timestamp proto;
  proto.set_seconds(millis / kMillis);
  proto.set_nanos(static_cast<std::int32_t>(millis % kMillis * kNanosPerMilli));
  return proto;
}

// Has the numbers of the API's.
hlbuf::v1::Signal ToProto(Force force) { return static_cast<hlbuf::v1::Signal>(force); }

hlbuf::v1::Domain ToProto(const Domain& domain) {
  hlbuf::v1::Domain proto;
  proto.set_uid(domain.uid);
  proto.set_container(domain.container);
  return proto;
}

hlbuf::v1::Peer ToProto(const Peer& peer) {
  hlbuf::v1::Peer proto;
  proto.set_uid(peer.uid);
  proto.set_gid(peer.gid);
  proto.set_pid(peer.pid);
  proto.set_container(peer.container);
  proto.set_unit(peer.unit);
  proto.set_job(peer.job);
  return proto;
}

hlbuf::v1::Holder ToProto(const Holder& holder) {
  hlbuf::v1::Holder proto;
  proto.set_session_id(IdText(holder.session));
  *proto.mutable_domain() = ToProto(holder.domain);
  proto.set_pid(holder.pid);
  proto.set_signalled(ToProto(holder.signalled));
  proto.set_unread_grant(holder.unread_grant);
  return proto;
}

hlbuf::v1::Verdict ToProto(const Verdict& verdict) {
  hlbuf::v1::Verdict proto;
  proto.set_kind(ToProtoEnum<hlbuf::v1::VerdictKind>(verdict.kind));
  proto.set_references(verdict.references);
  return proto;
}

hlbuf::v1::Device ToProto(const Device& device, const Broker& broker) {
  const BackendTraits& traits = device.traits();
  hlbuf::v1::Device proto;
  proto.set_name(device.name());
  proto.set_kind(traits.kind);
  proto.set_state(ToProtoEnum<hlbuf::v1::DeviceState>(device.state()));
  proto.set_epoch(device.epoch());
  proto.set_failure(device.failure());
  proto.set_warning(device.warning());
  proto.set_reserved_bytes(device.reserved_bytes());
  if (device.reserved_bytes() > 0) proto.set_reserved_hint(traits.reserved_hint);
  proto.set_page_bytes(traits.page_bytes);
  proto.set_buffer_bytes_max(traits.buffer_bytes_max);
  proto.set_total_bytes(traits.total_bytes);
  proto.set_used_bytes(device.used_bytes());
  proto.set_cpu_map(traits.cpu_map);
  proto.set_counts_references(traits.counts_references);
  proto.set_simulated(traits.simulated);
  proto.set_can_drill(traits.can_drill);
  proto.set_is_default(broker.default_device() == &device);
  proto.set_keeper(ToProtoEnum<hlbuf::v1::KeeperRole>(device.keeper()));
  if (const auto& drain = device.drain(); drain.has_value()) {
    proto.set_drained_by(drain->by);
    *proto.mutable_drained_time() = WallTimes(broker.ledger().clock)(drain->since);
  }
  return proto;
}

hlbuf::v1::Buffer ToProto(const BufferRecord& buffer, const WallTimes& wall) {
  hlbuf::v1::Buffer proto;
  proto.set_id(IdText(buffer.id));
  proto.set_name(buffer.name);
  for (const std::string& label : buffer.labels) {
    std::pair<std::string, std::string> key_value = absl::StrSplit(label, absl::MaxSplits('=', 1));
    (*proto.mutable_labels())[key_value.first] = std::move(key_value.second);
  }
  proto.set_device(buffer.device->name());
  proto.set_epoch(buffer.epoch);
  proto.set_state(ToProtoEnum<hlbuf::v1::BufferState>(buffer.state));
  *proto.mutable_owner() = ToProto(buffer.owner->domain);
  proto.set_size_bytes(buffer.allocation.size_bytes);
  proto.set_inode(buffer.allocation.inode);
  *proto.mutable_create_time() = wall(buffer.since);
  proto.set_lease_count(static_cast<std::uint32_t>(buffer.leases.size()));
  for (const Grantee& share : buffer.shares) *proto.add_shares() = ToProto(share);
  if (buffer.state == BufferState::kDraining) {
    *proto.mutable_drain_time() = wall(buffer.draining_since);
    proto.set_references(buffer.references);
  }
  if (buffer.revoked.has_value()) proto.set_revoke_reason(ToProto(*buffer.revoked));
  if (buffer.verdict.has_value()) *proto.mutable_verdict() = ToProto(*buffer.verdict);
  proto.set_job(buffer.job);
  return proto;
}

hlbuf::v1::Buffer ToProto(const LostBuffer& lost, const WallTimes& wall) {
  hlbuf::v1::Buffer proto;
  proto.set_id(IdText(lost.id));
  proto.set_name(lost.name);
  proto.set_device(lost.device->name());
  proto.set_epoch(lost.epoch);
  proto.set_state(hlbuf::v1::BUFFER_STATE_FREED);
  *proto.mutable_owner() = ToProto(lost.owner);
  proto.set_size_bytes(lost.size_bytes);
  proto.set_inode(lost.inode);
  *proto.mutable_create_time() = wall(lost.since);
  if (lost.revoked.has_value()) proto.set_revoke_reason(ToProto(*lost.revoked));
  *proto.mutable_verdict() = ToProto(lost.verdict);
  proto.set_job(lost.job);
  *proto.mutable_given_up_time() = wall(lost.given_up);
  for (const Holder& holder : lost.holders) *proto.add_last_holders() = ToProto(holder);
  proto.set_last_holders_left_out(lost.holders_left_out);
  return proto;
}

hlbuf::v1::Lease ToProto(const LeaseRecord& lease, const WallTimes& wall) {
  hlbuf::v1::Lease proto;
  proto.set_id(IdText(lease.id));
  proto.set_buffer_id(IdText(lease.buffer->id));
  proto.set_buffer_name(lease.buffer->name);
  proto.set_device(lease.buffer->device->name());
  proto.set_session_id(IdText(lease.session->id));
  proto.set_state(ToProtoEnum<hlbuf::v1::LeaseState>(lease.state));
  *proto.mutable_holder() = ToProto(lease.session->peer);
  *proto.mutable_create_time() = wall(lease.since);
  if (lease.share.has_value()) *proto.mutable_share() = ToProto(*lease.share);
  return proto;
}

hlbuf::v1::Session ToProto(const SessionRecord& session, const WallTimes& wall) {
  hlbuf::v1::Session proto;
  proto.set_id(IdText(session.id));
  *proto.mutable_peer() = ToProto(session.peer);
  proto.set_state(ToProtoEnum<hlbuf::v1::SessionState>(session.state));
  proto.set_client(session.client);
  *proto.mutable_create_time() = wall(session.since);
  proto.set_lease_count(static_cast<std::uint32_t>(session.leases.size()));
  proto.set_in_flight_fds(static_cast<std::uint32_t>(session.in_flight.amount()));
  if (session.unanswered_ping_since.has_value())
    *proto.mutable_unanswered_ping_time() = wall(*session.unanswered_ping_since);
  return proto;
}

hlbuf::v1::Revocation ToProto(const RevocationReport& report, const WallTimes& wall) {
  hlbuf::v1::Revocation proto;
  proto.set_id(IdText(report.id));
  proto.set_reason(ToProto(report.reason));
  *proto.mutable_begin_time() = wall(report.began);
  *proto.mutable_deadline_time() = wall(report.deadline);
  *proto.mutable_end_time() = wall(report.ended);
  proto.set_sessions_told(report.sessions_told);
  proto.set_leases_told(report.leases_told);
  AddVerdicts(report.verdicts, proto);
  return proto;
}

hlbuf::v1::Event ToProto(std::uint64_t sequence, const Event& event, const WallTimes& wall) {
  hlbuf::v1::Event proto;
  proto.set_sequence(sequence);
  proto.set_kind(ToProtoEnum<hlbuf::v1::EventKind>(event.kind));
  *proto.mutable_time() = wall(event.time);
  proto.set_device(event.device);
  proto.set_buffer_id(TextOf(event.buffer));
  proto.set_lease_id(TextOf(event.lease));
  proto.set_session_id(TextOf(event.session));
  proto.set_revocation_id(TextOf(event.revocation));
  if (event.domain != Domain()) *proto.mutable_domain() = ToProto(event.domain);
  proto.set_pid(event.pid);
  proto.set_text(event.text);
  if (event.verdict.has_value()) *proto.mutable_verdict() = ToProto(*event.verdict);
  proto.set_count(event.count);
  return proto;
}

}  // namespace hlbuf
