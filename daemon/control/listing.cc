// SPDX-License-Identifier: Apache-2.0
// Devices, buffers and sessions; leases, which have a key of two parts, are in listing_leases.cc.
#include "daemon/control/listing.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
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

absl::Status NoDevice(absl::string_view name) {
  return Error(ErrorCode::kNotFound, absl::StrCat("there is no device '", Printable(name),
                                                  "'; ListDevices shows those that are"));
}

// Who stands in the way of a failed device is not for everybody.
v1::Device DeviceFor(const Caller& caller, const Device& device, const Broker& broker) {
  v1::Device proto = ToProto(device, broker);
  const std::string lost = MaySeeAll(caller) ? broker.ledger().lost.Text(device) : "";
  if (!lost.empty() && !proto.failure().empty()) proto.mutable_failure()->append("; lost: " + lost);
  return proto;
}

// Buffers that there are and buffers that are lost, together in the order of their ids. One that is
// being given up is both, and counts as there.
class BufferCursor {
 public:
  BufferCursor(const Ledger& ledger, BufferId after)
      : buffers_(ledger.registry.in_order()),
        lost_(ledger.lost.in_order()),
        buffer_(buffers_.upper_bound(after)),
        lost_buffer_(lost_.upper_bound(after)) {}
  bool AtEnd() const { return buffer_ == buffers_.end() && lost_buffer_ == lost_.end(); }
  const BufferRecord* buffer() const { return IsThere() ? buffer_->second : nullptr; }
  const LostBuffer* lost() const { return IsThere() ? nullptr : &lost_buffer_->second; }
  // The one that was passed last.
  BufferId before() const { return before_; }
  void Advance() {
    before_ = IsThere() ? buffer_->first : lost_buffer_->first;
    if (buffer_ != buffers_.end() && buffer_->first == before_) ++buffer_;
    if (lost_buffer_ != lost_.end() && lost_buffer_->first == before_) ++lost_buffer_;
  }

 private:
  bool IsThere() const {
    return buffer_ != buffers_.end() &&
           (lost_buffer_ == lost_.end() || buffer_->first <= lost_buffer_->first);
  }

  const absl::btree_map<BufferId, BufferRecord*>& buffers_;
  const absl::btree_map<BufferId, LostBuffer>& lost_;
  absl::btree_map<BufferId, BufferRecord*>::const_iterator buffer_;
  absl::btree_map<BufferId, LostBuffer>::const_iterator lost_buffer_;
  BufferId before_;
};

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
    *response.add_devices() = DeviceFor(caller, **it, broker);
  }
  if (it != all.end())
    response.set_next_page_token(PageToken(QueryOf(request), (*std::prev(it))->name()));
  return response;
}

absl::StatusOr<v1::Device> GetDevice(const Broker& broker, const Caller& caller,
                                     const v1::GetDeviceRequest& request) {
  const Device* device = broker.FindDevice(request.name());
  if (device == nullptr || !MaySeeDevices(caller)) return NoDevice(request.name());
  return DeviceFor(caller, *device, broker);
}

absl::Status CheckDevice(const Broker& broker, const Caller& caller, absl::string_view name) {
  const bool good = name.empty() || !MaySeeDevices(caller) || broker.FindDevice(name) != nullptr;
  return good ? absl::OkStatus() : NoDevice(name);
}

absl::StatusOr<v1::ListBuffersResponse> ListBuffers(const Broker& broker, const Caller& caller,
                                                    const v1::ListBuffersRequest& request) {
  ASSIGN_OR_RETURN(const Page page, ReadPage(request));
  ASSIGN_OR_RETURN(const std::uint64_t after, AfterId(page));
  ASSIGN_OR_RETURN(const WantedValues states,
                   WantedValues::Read("states", request.states(), v1::BufferState_IsValid));
  RETURN_IF_ERROR(CheckDevice(broker, caller, request.device()));
  const auto is_wanted = [&](const Device& device, BufferState state, const Domain& owner) {
    return (request.device().empty() || device.name() == request.device()) && states.Match(state) &&
           (!request.has_owner_uid() || owner.uid == request.owner_uid()) &&
           (!request.has_owner_container() || owner.container == request.owner_container());
  };
  v1::ListBuffersResponse response;
  const WallTimes wall(broker.ledger().clock);
  PageFill fill(page, caller);
  BufferCursor cursor(broker.ledger(), BufferId{after});
  for (; !cursor.AtEnd() && fill.HasRoom(); cursor.Advance()) {
    if (const BufferRecord* const buffer = cursor.buffer(); buffer != nullptr) {
      fill.Examined(1 + LeasesVisited(caller, *buffer));
      if (!is_wanted(*buffer->device, buffer->state, buffer->owner->domain) ||
          !MaySee(caller, *buffer))
        continue;
      *response.add_buffers() = ToProto(*buffer, wall);
    } else {
      const LostBuffer& lost = *cursor.lost();
      fill.Examined();
      if (!is_wanted(*lost.device, BufferState::kFreed, lost.owner) || !MaySee(caller, lost))
        continue;
      *response.add_buffers() = ToProto(lost, wall);
    }
    fill.Taken();
  }
  if (!cursor.AtEnd())
    response.set_next_page_token(PageToken(QueryOf(request), IdText(cursor.before())));
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
  if (const LostBuffer* lost = ledger.lost.Find(id);
      buffer == nullptr && lost != nullptr && MaySee(caller, *lost))
    return ToProto(*lost, WallTimes(ledger.clock));
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
