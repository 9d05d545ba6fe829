// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/side_job.h"

#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <thread>

#include "daemon/base/poster.h"

namespace hlbuf {
namespace {

// The test's own thread is the loop.
class Loop final : public Poster {
 public:
  void Post(absl::AnyInvocable<void() &&> task) override { posted_.set_value(std::move(task)); }
  // Runs the one task that is, or will be, posted.
  void RunOne() { posted_.get_future().get()(); }

 private:
  std::promise<absl::AnyInvocable<void() &&>> posted_;
};

TEST(SideJob, WorksOnAThreadOfItsOwnAndTellsOnTheLoop) {
  Loop loop;
  SideJob side(loop);
  const std::thread::id here = std::this_thread::get_id();
  std::thread::id worked, told;
  side.Run([&] { worked = std::this_thread::get_id(); },
           [&] { told = std::this_thread::get_id(); });
  loop.RunOne();
  EXPECT_NE(worked, here);
  EXPECT_EQ(told, here);
}

TEST(SideJob, TellsNobodyOfWorkWhoseAskerHasGone) {
  Loop loop;
  std::optional<SideJob> side(std::in_place, loop);
  bool worked = false, told = false;
  side->Run([&] { worked = true; }, [&] { told = true; });
  side.reset();
  EXPECT_TRUE(worked) << "it waits for the work";
  loop.RunOne();
  EXPECT_FALSE(told);
}

}  // namespace
}  // namespace hlbuf
