// SPDX-License-Identifier: Apache-2.0
// Devices, buffers and sessions; leases, which have a key of two parts, are in listing_leases.cc.
#include "daemon/control/listing.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "daemon/base/status_macros.h"
#include "daemon/control/page.h"
#include "daemon/control/request_fields.h"
#include "daemon/control/to_proto.h"
#include "daemon/control/visibility.h"
#include "daemon/core/error.h"
#include "daemon/core/names.h"

namespace hlbuf {
namespace v1 = hlbuf::v1;
namespace {

std::vector<const Device*> DevicesByName(const Broker& broker) {
  std::vector<const Device*> devices;
  for (const auto& device : broker.devices()) devices.push_back(device.get());
  std::sort(devices.begin(), devices.end(),
            [](const Device* a, const Device* b) { return a->name() < b->name(); });
  return devices;
}

}  // namespace

absl::StatusOr<v1::ListDevicesResponse> ListDevices(const Broker& broker, const Caller& caller,
                                                    const v1::ListDevicesRequest& request) {
  ASSIGN_OR_RETURN(const Page page, ReadPage(request));
  ASSIGN_OR_RETURN(const WantedValues states,
                   WantedValues::Read("states", request.states(), v1::DeviceState_IsValid));
  v1::ListDevicesResponse response;
  if (!MaySeeDevices(caller)) return response;
  PageFill fill(page, caller);
  const std::vector<const Device*> all = DevicesByName(broker);
  auto it = std::find_if(all.begin(), all.end(),
                         [&page](const Device* device) { return device->name() > page.after; });
  for (; it != all.end() && fill.HasRoom(); ++it) {
    fill.Examined();
    if (!states.Match((*it)->state())) continue;
    fill.Taken();
    *response.add_devices() = ToProto(**it, broker);
  }
  if (it != all.end())
    response.set_next_page_token(PageToken(QueryOf(request), (*std::prev(it))->name()));
  return response;
}

absl::StatusOr<v1::Device> GetDevice(const Broker& broker, const Caller& caller,
                                     const v1::GetDeviceRequest& request) {
  const Device* device = broker.FindDevice(request.name());
  if (device == nullptr || !MaySeeDevices(caller))
    return Error(ErrorCode::kNotFound,
                 absl::StrCat("there is no device '", Printable(request.name()),
                              "'; ListDevices shows those that are"));
  return ToProto(*device, broker);
}

absl::StatusOr<v1::ListBuffersResponse> ListBuffers(const Broker& broker, const Caller& caller,
                                                    const v1::ListBuffersRequest& request) {
  ASSIGN_OR_RETURN(const Page page, ReadPage(request));
  ASSIGN_OR_RETURN(const std::uint64_t after, AfterId(page));
  ASSIGN_OR_RETURN(const WantedValues states,
                   WantedValues::Read("states", request.states(), v1::BufferState_IsValid));
  const auto matches = [&](const BufferRecord& buffer) {
    return (request.device().empty() || buffer.device->name() == request.device()) &&
           states.Match(buffer.state) &&
           (!request.has_owner_uid() || buffer.owner->domain.uid == request.owner_uid()) &&
           (!request.has_owner_container() ||
            buffer.owner->domain.container == request.owner_container()) &&
           MaySee(caller, buffer);
  };
  v1::ListBuffersResponse response;
  const WallTimes wall(broker.ledger().clock);
  PageFill fill(page, caller);
  const auto& all = broker.ledger().registry.in_order();
  auto it = all.upper_bound(BufferId{after});
  for (; it != all.end() && fill.HasRoom(); ++it) {
    fill.Examined(1 + LeasesVisited(caller, *it->second));
    if (!matches(*it->second)) continue;
    fill.Taken();
    *response.add_buffers() = ToProto(*it->second, wall);
  }
  if (it != all.end())
    response.set_next_page_token(PageToken(QueryOf(request), IdText(std::prev(it)->first)));
  return response;
}

absl::StatusOr<v1::Buffer> GetBuffer(const Broker& broker, const Caller& caller,
                                     const v1::GetBufferRequest& request) {
  ASSIGN_OR_RETURN(const std::uint64_t value, ReadId("id", request.id()));
  const BufferId id{value};
  const Ledger& ledger = broker.ledger();
  const BufferRecord* buffer = ledger.registry.Find(id);
  if (buffer != nullptr && MaySee(caller, *buffer))
    return ToProto(*buffer, WallTimes(ledger.clock));
  const absl::string_view fate =
      caller.peer.known() ? ledger.registry.FateOf(id, caller.peer.domain()) : "";
  if (!fate.empty())
    return Error(ErrorCode::kGone, absl::StrCat("buffer ", IdText(id), " was ", fate));
  return Error(ErrorCode::kNotFound, absl::StrCat("there is no buffer ", IdText(id),
                                                  "; ListBuffers shows those that are"));
}

absl::StatusOr<v1::ListSessionsResponse> ListSessions(const Broker& broker, const Caller& caller,
                                                      const v1::ListSessionsRequest& request) {
  ASSIGN_OR_RETURN(const Page page, ReadPage(request));
  ASSIGN_OR_RETURN(const std::uint64_t after, AfterId(page));
  ASSIGN_OR_RETURN(const WantedValues states,
                   WantedValues::Read("states", request.states(), v1::SessionState_IsValid));
  const auto matches = [&](const SessionRecord& session) {
    return states.Match(session.state) &&
           (!request.has_uid() || session.peer.uid == request.uid()) &&
           (!request.has_container() || session.peer.container == request.container()) &&
           MaySee(caller, session);
  };
  v1::ListSessionsResponse response;
  const WallTimes wall(broker.ledger().clock);
  PageFill fill(page, caller);
  const auto& all = broker.ledger().sessions;
  auto it = all.upper_bound(SessionId{after});
  for (; it != all.end() && fill.HasRoom(); ++it) {
    fill.Examined();
    if (!matches(*it->second)) continue;
    fill.Taken();
    *response.add_sessions() = ToProto(*it->second, wall);
  }
  if (it != all.end())
    response.set_next_page_token(PageToken(QueryOf(request), IdText(std::prev(it)->first)));
  return response;
}

}  // namespace hlbuf
