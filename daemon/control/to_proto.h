// SPDX-License-Identifier: Apache-2.0
// The broker's records as the control API shows them. Broker thread.
#ifndef HLBUF_DAEMON_CONTROL_TO_PROTO_H_
#define HLBUF_DAEMON_CONTROL_TO_PROTO_H_

#include <google/protobuf/timestamp.pb.h>

#include "absl/time/time.h"
#include "daemon/base/clock.h"
#include "daemon/core/broker.h"
#include "hlbuf/v1/events.pb.h"
#include "hlbuf/v1/resources.pb.h"

namespace hlbuf {

// States of the core have the numbers of the API's, less its UNSPECIFIED.
template <class ProtoEnum, class CoreEnum>
ProtoEnum ToProtoEnum(CoreEnum value) {
  return static_cast<ProtoEnum>(static_cast<int>(value) + 1);
}

// Turns times of the broker's clock into those of the wall clock as it is now, in whole
// milliseconds.
class WallTimes {
 public:
  explicit WallTimes(const Clock& clock) : offset_(absl::Now() - clock.Now()) {}
  google::protobuf::Timestamp operator()(absl::Time time) const;

 private:
  absl::Duration offset_;
};

hlbuf::v1::Signal ToProto(Force force);
hlbuf::v1::Domain ToProto(const Domain& domain);
hlbuf::v1::Peer ToProto(const Peer& peer);
hlbuf::v1::Holder ToProto(const Holder& holder);
hlbuf::v1::Verdict ToProto(const Verdict& verdict);
hlbuf::v1::Device ToProto(const Device& device, const Broker& broker);
hlbuf::v1::Buffer ToProto(const BufferRecord& buffer, const WallTimes& wall);
hlbuf::v1::Buffer ToProto(const LostBuffer& lost, const WallTimes& wall);
hlbuf::v1::Lease ToProto(const LeaseRecord& lease, const WallTimes& wall);
hlbuf::v1::Session ToProto(const SessionRecord& session, const WallTimes& wall);
hlbuf::v1::Revocation ToProto(const RevocationReport& report, const WallTimes& wall);
hlbuf::v1::Event ToProto(std::uint64_t sequence, const Event& event, const WallTimes& wall);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_TO_PROTO_H_
