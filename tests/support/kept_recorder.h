// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_KEPT_RECORDER_H_
#define HLBUF_TESTS_SUPPORT_KEPT_RECORDER_H_

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "daemon/core/kept.h"
#include "daemon/core/recorder.h"
#include "daemon/core/revocations.h"

namespace hlbuf {

// Keeps what it is told as the values that the next broker is restored from.
class KeptRecorder final : public Recorder {
 public:
  absl::Status Reserve(std::size_t) override { return fail_reserve; }
  void Write(const Device& device) override {
    std::vector<DeviceNote> notes = std::move(devices_[device.name()].notes);
    devices_[device.name()] = Keep(device);
    devices_[device.name()].notes = std::move(notes);
  }
  void Write(const SessionRecord& session) override { sessions_[session.id] = Keep(session); }
  void Write(const BufferRecord& buffer) override { buffers_[buffer.id] = Keep(buffer); }
  void Write(const LeaseRecord& lease) override { leases_[lease.id] = Keep(lease); }
  void Write(const RevocationReport& report) override { revocations_[report.id] = Keep(report); }
  void Write(const Device& device, const DeviceNote& note) override {
    std::vector<DeviceNote>& notes = devices_[device.name()].notes;
    std::erase_if(notes, [&note](const DeviceNote& each) { return each.key == note.key; });
    if (!note.bytes.empty()) notes.push_back(note);
  }
  void Forget(SessionId id) override { sessions_.erase(id); }
  void Forget(BufferId id) override {
    buffers_.erase(id);
    if (forgot) forgot();
  }
  void Forget(LeaseId id) override {
    leases_.erase(id);
    if (forgot) forgot();
  }
  void Forget(RevocationId id) override { revocations_.erase(id); }

  hlbuf::Kept kept() const {
    return {.devices = Values(devices_),
            .sessions = Values(sessions_),
            .buffers = Values(buffers_),
            .leases = Values(leases_),
            .revocations = Values(revocations_)};
  }
  const KeptBuffer* Find(BufferId id) const {
    const auto it = buffers_.find(id);
    return it == buffers_.end() ? nullptr : &it->second;
  }

  absl::Status fail_reserve;
  std::function<void()> forgot;  // called after each buffer and lease

 private:
  template <class Key, class Value>
  static std::vector<Value> Values(const std::map<Key, Value>& from) {
    std::vector<Value> values;
    for (const auto& [key, value] : from) values.push_back(value);
    return values;
  }

  std::map<std::string, KeptDevice> devices_;
  std::map<SessionId, KeptSession> sessions_;
  std::map<BufferId, KeptBuffer> buffers_;
  std::map<LeaseId, KeptLease> leases_;
  std::map<RevocationId, KeptRevocation> revocations_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_KEPT_RECORDER_H_
