// SPDX-License-Identifier: Apache-2.0
// Plans of resets and what devices still have out, as the control API shows them. Broker thread.
#ifndef HLBUF_DAEMON_CONTROL_PLAN_TO_PROTO_H_
#define HLBUF_DAEMON_CONTROL_PLAN_TO_PROTO_H_

#include <google/protobuf/repeated_field.h>

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/control/role.h"
#include "daemon/control/to_proto.h"
#include "daemon/core/broker.h"
#include "hlbuf/v1/control.pb.h"

namespace hlbuf {

// The first `max` of them, or fewer, when the names of containers make them large.
void AddHeld(const std::vector<const BufferRecord*>& buffers, std::size_t max,
             const WallTimes& wall,
             google::protobuf::RepeatedPtrField<hlbuf::v1::HeldBuffer>& held);

// Lists at most `max` sessions, and as many buffers.
hlbuf::v1::ResetPlan ToProto(const ResetPlan& plan, const Device& device, const Broker& broker,
                             std::size_t max);

// A question, as those of listing.h. Errors: PERMISSION_DENIED, NOT_FOUND, INVALID_ARGUMENT.
absl::StatusOr<hlbuf::v1::ResetPlan> PlanReset(Broker& broker, const Caller& caller,
                                               const hlbuf::v1::PlanResetRequest& request);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_PLAN_TO_PROTO_H_
