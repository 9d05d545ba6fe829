// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_FAKE_NOTICES_H_
#define HLBUF_TESTS_SUPPORT_FAKE_NOTICES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "daemon/core/observer.h"

namespace hlbuf {

// A client's end that remembers what it was told.
class FakeNotices final : public Notices {
 public:
  struct Revoke {
    RevokeReason reason;
    absl::Time deadline;
    std::vector<RevokedLease> leases;
  };
  struct DeviceNotice {
    std::string device;
    DeviceState state;
    std::uint64_t epoch;
  };

  bool OnRevoke(RevokeReason reason, absl::Time deadline,
                absl::Span<const RevokedLease> leases) override {
    revokes.push_back({reason, deadline, {leases.begin(), leases.end()}});
    return takes_notices;
  }
  void OnDevice(absl::string_view device, DeviceState state, std::uint64_t epoch) override {
    devices.push_back({std::string(device), state, epoch});
  }
  void Sweep() override {
    if (on_sweep) on_sweep();
  }

  absl::Status Signal(Force force) override {
    signals.push_back(force);
    return signal_result;
  }

  bool takes_notices = true;
  absl::Status signal_result;
  std::vector<Revoke> revokes;
  std::vector<Force> signals;  // tried
  std::vector<DeviceNotice> devices;
  std::function<void()> on_sweep;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_FAKE_NOTICES_H_
