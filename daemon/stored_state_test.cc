// SPDX-License-Identifier: Apache-2.0
#include "daemon/stored_state.h"

#include <gtest/gtest.h>

#include "tests/support/descriptors.h"
#include "tests/support/fake_fd_store.h"
#include "tests/support/loop_thread.h"

namespace hlbuf {
namespace {

class StoredStateTest : public testing::Test {
 protected:
  // Of the broker thread.
  void Begin(std::size_t room) {
    kept_ = std::make_unique<FakeFdStore>(room);
    thread_.Start();
    thread_.OnLoop([&] {
      store_ = std::make_unique<FdStore>(PassedDescriptors(), [this] { return kept_->Count(); });
      const std::string keeper = "keeper-a";
      state_ =
          std::make_unique<StoredState>(*store_, thread_.loop(), absl::MakeConstSpan(&keeper, 1),
                                        [this](const std::string& text) { told_.push_back(text); });
    });
  }
  ~StoredStateTest() override {
    thread_.OnLoop([&] { state_.reset(); });
  }
  void PutJournal() {
    thread_.OnLoop([&] { ASSERT_TRUE(state_->PutJournal(journal_.get(), UniqueFd()).ok()); });
  }

  UniqueFd journal_ = Memfd("journal");
  std::unique_ptr<FakeFdStore> kept_;
  LoopThread thread_;
  std::unique_ptr<FdStore> store_;
  std::vector<std::string> told_;
  std::unique_ptr<StoredState> state_;
};

TEST_F(StoredStateTest, IsVerifiedWhenTheManagerHasEverything) {
  Begin(2);
  thread_.OnLoop([&] { EXPECT_FALSE(state_->verified()); });
  PutJournal();
  EXPECT_TRUE(thread_.Until([&] { return state_->verified(); }));
  thread_.OnLoop([&] {
    EXPECT_TRUE(state_->troubles().empty());
    EXPECT_TRUE(told_.empty());
  });
}

TEST_F(StoredStateTest, SaysWhatTheManagerHasNoRoomFor) {
  Begin(1);
  PutJournal();
  state_->Put("keeper-a", Memfd("keeper"));
  EXPECT_TRUE(thread_.Until([&] { return !told_.empty(); }));
  thread_.OnLoop([&] {
    EXPECT_FALSE(state_->verified());
    EXPECT_EQ(state_->troubles(), told_);
    EXPECT_NE(told_[0].find("may not survive a restart"), std::string::npos) << told_[0];
  });
}

TEST_F(StoredStateTest, SaysWhatCouldNotBePut) {
  Begin(2);
  PutJournal();
  state_->Put("a name with blanks", Memfd("keeper"));
  EXPECT_TRUE(thread_.Until([&] { return !told_.empty(); }));
  thread_.OnLoop([&] {
    EXPECT_NE(told_[0].find("does not keep the connection a name with blanks"), std::string::npos)
        << told_[0];
    EXPECT_EQ(state_->troubles(), told_);
  });
  state_->Remove("a name with blanks");
  EXPECT_TRUE(thread_.Until([&] { return state_->troubles().empty(); }));
}

}  // namespace
}  // namespace hlbuf
