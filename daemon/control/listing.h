// SPDX-License-Identifier: Apache-2.0
// The questions of the control API, as functions of the broker and of who asks. Broker thread.
//
// Errors: INVALID_ARGUMENT, NOT_FOUND of what a request names, and GONE of a Get. What a caller may
// not see is not there.
#ifndef HLBUF_DAEMON_CONTROL_LISTING_H_
#define HLBUF_DAEMON_CONTROL_LISTING_H_

#include "absl/status/statusor.h"
#include "daemon/control/role.h"
#include "daemon/core/broker.h"
#include "hlbuf/v1/control.pb.h"

namespace hlbuf {

absl::StatusOr<hlbuf::v1::ListDevicesResponse> ListDevices(
    const Broker& broker, const Caller& caller, const hlbuf::v1::ListDevicesRequest& request);
absl::StatusOr<hlbuf::v1::Device> GetDevice(const Broker& broker, const Caller& caller,
                                            const hlbuf::v1::GetDeviceRequest& request);
// Of the device that a question is about; empty: of any. NOT_FOUND, except to those who see no
// devices: they see nothing of theirs either.
absl::Status CheckDevice(const Broker& broker, const Caller& caller, absl::string_view name);
absl::StatusOr<hlbuf::v1::ListBuffersResponse> ListBuffers(
    const Broker& broker, const Caller& caller, const hlbuf::v1::ListBuffersRequest& request);
absl::StatusOr<hlbuf::v1::Buffer> GetBuffer(const Broker& broker, const Caller& caller,
                                            const hlbuf::v1::GetBufferRequest& request);
absl::StatusOr<hlbuf::v1::ListLeasesResponse> ListLeases(
    const Broker& broker, const Caller& caller, const hlbuf::v1::ListLeasesRequest& request);
absl::StatusOr<hlbuf::v1::ListSessionsResponse> ListSessions(
    const Broker& broker, const Caller& caller, const hlbuf::v1::ListSessionsRequest& request);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_LISTING_H_
