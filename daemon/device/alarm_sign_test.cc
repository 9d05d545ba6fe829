// SPDX-License-Identifier: Apache-2.0
// A card's own notice, all the way to the broker: notifier, exporter, worker, event loop. The
// clock stands still and no deadline is ever run, so nothing is found by asking now and then.
#include <gtest/gtest.h>

#include <memory>

#include "daemon/core/broker.h"
#include "daemon/device/device_worker.h"
#include "daemon/device/fake_habanalabs.h"
#include "daemon/device/habanalabs_exporter.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_observer.h"
#include "tests/support/loop_thread.h"

namespace hlbuf {
namespace {

class AlarmSign : public testing::Test {
 protected:
  AlarmSign() {
    thread_.Start();
    thread_.OnLoop([this] {
      broker_ = std::make_unique<Broker>(BrokerSettings(), Policy({}, {}), clock_, observer_);
      auto exporter = std::make_unique<HabanalabsExporter>(DeviceConfig{.name = "gaudi0"}, machine_,
                                                           nullptr, machine_.roots());
      broker_->AddDevice(
          "gaudi0", std::make_unique<DeviceWorker>("gaudi0", std::move(exporter), thread_.loop()));
    });
  }
  ~AlarmSign() override {
    thread_.OnLoop([this] { broker_.reset(); });
  }
  const Device& device() const { return *broker_->devices().front(); }

  // READY in this epoch, and asked for alarms once, in vain: the worker has nothing to do.
  bool IsQuietIn(std::uint64_t epoch) {
    return thread_.Until([&] {
      return device().state() == DeviceState::kReady && device().epoch() == epoch &&
             broker_->NextDeadline() != absl::InfiniteFuture();
    });
  }

  FakeHabanalabs machine_;
  FakeHabanalabsCard& card_ = machine_.Add();
  FakeClock clock_;
  FakeObserver observer_;
  LoopThread thread_;
  std::unique_ptr<Broker> broker_;  // lives on the loop
};

TEST_F(AlarmSign, BringsAGracefulResetToTheBrokerAtOnceAndInEachEpoch) {
  const std::uint64_t first = BrokerSettings().first_epoch;
  for (std::uint64_t epoch = first; epoch < first + 3; ++epoch) {
    ASSERT_TRUE(IsQuietIn(epoch));
    thread_.OnLoop([this] { card_.Raise(hl::kEventDeviceReset | hl::kEventGeneralHwError); });
  }
  EXPECT_TRUE(IsQuietIn(first + 3));
}

}  // namespace
}  // namespace hlbuf
