// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/plan_to_proto.h"

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/control/page.h"
#include "daemon/core/names.h"

namespace hlbuf {
namespace v1 = hlbuf::v1;
namespace {

constexpr int kHoldersMax = 16;
// A message of gRPC has at most 4 MiB; a plan has two such lists.
constexpr std::size_t kListBytesMax = 3 << 19;

v1::HeldBuffer ToHeld(const BufferRecord& buffer, const WallTimes& wall) {
  v1::HeldBuffer proto;
  *proto.mutable_buffer() = ToProto(buffer, wall);
  for (const LeaseRecord* lease : buffer.leases) {
    if (proto.holders_size() == kHoldersMax) break;
    *proto.add_holders() = ToProto(HolderOf(*lease));
  }
  proto.set_holders_left_out(static_cast<std::uint32_t>(buffer.leases.size()) -
                             static_cast<std::uint32_t>(proto.holders_size()));
  return proto;
}

v1::PlannedSession ToPlanned(const ResetPlan::Party& party, const WallTimes& wall) {
  v1::PlannedSession proto;
  *proto.mutable_session() = ToProto(*party.session, wall);
  proto.set_lease_count(party.leases);
  for (const ResetObstacle obstacle : party.obstacles)
    proto.add_obstacles(static_cast<v1::ResetObstacle>(obstacle));  // has the numbers of the API's
  return proto;
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto.set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(duration)));
  return proto;
}

// A device that is away, or on its way, is nobody's to reset.
bool CanBeReset(const Device& device) {
  return device.is_open() || device.state() == DeviceState::kFailed;
}

}  // namespace

void AddHeld(const std::vector<const BufferRecord*>& buffers, std::size_t max,
             const WallTimes& wall, google::protobuf::RepeatedPtrField<v1::HeldBuffer>& held) {
  std::size_t bytes = 0;
  for (const BufferRecord* buffer : buffers) {
    if (static_cast<std::size_t>(held.size()) == max || bytes >= kListBytesMax) return;
    *held.Add() = ToHeld(*buffer, wall);
    bytes += held.rbegin()->ByteSizeLong();
  }
}

v1::ResetPlan ToProto(const ResetPlan& plan, const Device& device, const Broker& broker,
                      std::size_t max) {
  const WallTimes wall(broker.ledger().clock);
  v1::ResetPlan proto;
  *proto.mutable_device() = ToProto(device, broker);
  proto.set_clear(plan.clear() && CanBeReset(device));
  proto.set_buffer_count(plan.buffers);
  proto.set_lease_count(plan.leases);
  proto.set_asked_lease_count(plan.asked);
  proto.set_held_bytes(plan.bytes);
  proto.set_session_count(static_cast<std::uint32_t>(plan.parties.size()));
  proto.set_obstructed_session_count(plan.obstructed);
  proto.set_unexplained_buffer_count(static_cast<std::uint32_t>(plan.unexplained.size()));
  *proto.mutable_grace() = ToProto(plan.grace);
  if (plan.window > absl::ZeroDuration()) *proto.mutable_window() = ToProto(plan.window);
  std::size_t bytes = 0;
  for (const ResetPlan::Party& party : plan.parties) {
    if (static_cast<std::size_t>(proto.sessions_size()) == max || bytes >= kListBytesMax) break;
    v1::PlannedSession& added = *proto.add_sessions();
    added = ToPlanned(party, wall);
    bytes += added.ByteSizeLong();
  }
  AddHeld(plan.unexplained, max, wall, *proto.mutable_unexplained_buffers());
  return proto;
}

absl::StatusOr<v1::ResetPlan> PlanReset(Broker& broker, const Caller& caller,
                                        const v1::PlanResetRequest& request) {
  ASSIGN_OR_RETURN(const Page page, ReadPage(request.page_size(), "", ""));
  RETURN_IF_ERROR(Require(Role::kViewer, caller,
                          absl::StrCat("plan a reset of ", Printable(request.device()))));
  ASSIGN_OR_RETURN(const ResetPlan plan, broker.PlanReset(request.device()));
  return ToProto(plan, *broker.FindDevice(request.device()), broker, page.size);
}

}  // namespace hlbuf
