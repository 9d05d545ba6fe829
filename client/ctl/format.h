// SPDX-License-Identifier: Apache-2.0
// How single values look in tables. Exact values are in the JSON output.
#ifndef HLBUF_CLIENT_CTL_FORMAT_H_
#define HLBUF_CLIENT_CTL_FORMAT_H_

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "hlbuf/v1/events.pb.h"
#include "hlbuf/v1/resources.pb.h"

namespace hlbuf::ctl {

// "512B", "64MiB", "1.5GiB": one decimal where it is not whole.
std::string SizeText(std::uint64_t bytes);

// "1 lease", "2 leases".
std::string CountText(std::uint64_t count, const std::string& noun);

// "0s", "45s", "3m12s", "2h05m", "3d04h". Times in the future are "0s".
std::string AgeText(absl::Duration age);
std::string AgeText(const google::protobuf::Timestamp& since, absl::Time now);

// Local time, to the millisecond: "14:03:09.512".
std::string ClockText(const google::protobuf::Timestamp& time);

// `text` with everything but printable ASCII as \xNN: what others chose must not steer a terminal.
std::string PrintableText(const std::string& text);

// "uid 1000", and " in CONTAINER" where there is one.
std::string DomainText(const v1::Domain& domain);
// "uid 1000 pid 4711", likewise, and " job 12" of Slurm's.
std::string PeerText(const v1::Peer& peer);
std::string HolderText(const v1::Holder& holder);
// "pid 4711 (python3, uid 1000)"; then what it has: "1 descriptor, 2 mappings".
std::string OutsideText(const v1::OutsideHolder& holder);
std::string HeldText(const v1::OutsideHolder& holder);
// "uid 1001" or "gid 100"; empty when nobody is named.
std::string GranteeText(const v1::Grantee& grantee);

// Names without their type's prefix: "READY".
std::string StateText(v1::DeviceState state);
std::string StateText(v1::BufferState state);
std::string StateText(v1::LeaseState state);
std::string StateText(v1::SessionState state);
std::string VerdictText(v1::VerdictKind kind);
// Lower case, for sentences: "reset".
std::string ReasonText(v1::RevokeReason reason);
// Lower case, with hyphens: "lease-granted".
std::string KindText(v1::EventKind kind);

absl::Time ToTime(const google::protobuf::Timestamp& time);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_FORMAT_H_
