// SPDX-License-Identifier: Apache-2.0
#include "daemon/stored_state.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/descriptors.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_fd_store.h"
#include "tests/support/loop_thread.h"
#include "tests/support/posted.h"

namespace hlbuf {
namespace {

class StoredStateTest : public testing::Test {
 protected:
  // Of the broker thread.
  void Begin(std::size_t room) {
    kept_ = std::make_unique<FakeFdStore>(room);
    thread_.Start();
    thread_.OnLoop([&] {
      notify_ = std::make_unique<NotifySocket>(clock_);
      store_ = std::make_unique<FdStore>(*notify_, PassedDescriptors(),
                                         [this]() -> absl::StatusOr<std::uint32_t> {
                                           if (!count_.ok()) return count_;
                                           return kept_->Count();
                                         });
      const std::string keeper = "keeper-a";
      state_ = std::make_unique<StoredState>(
          *store_, thread_.loop(), clock_, absl::MakeConstSpan(&keeper, 1),
          [this](const std::string& text) { told_.push_back(text); },
          [this](bool counting) { counting_.push_back(counting); });
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
  FakeClock clock_;
  LoopThread thread_;
  std::unique_ptr<NotifySocket> notify_;
  std::unique_ptr<FdStore> store_;
  std::vector<std::string> told_;
  std::vector<bool> counting_;
  absl::Status count_;  // what counting it comes to, unless that is OK; changed between two
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

// Who is slow once is not taken for one who lost everything.
TEST_F(StoredStateTest, IsAskedForAgainWhereNobodyAnswered) {
  count_ = absl::DeadlineExceededError("the bus is slow");
  Begin(2);
  PutJournal();
  EXPECT_TRUE(thread_.Until([&] { return !told_.empty(); }));
  for (int again = 0; again < 2; ++again) {
    const std::size_t asked = counting_.size();
    thread_.OnLoop([&] {
      EXPECT_EQ(state_->NextDeadline(), clock_.Now() + StoredState::kRepeatPause);
      clock_.AdvanceTo(state_->NextDeadline());
      state_->RunDeadlines();
    });
    EXPECT_TRUE(thread_.Until([&] { return counting_.size() == asked + 2; }));
  }
  thread_.OnLoop([&] {
    EXPECT_EQ(told_.size(), 1u) << "it is the same trouble";
    EXPECT_EQ(state_->troubles(), told_);
    count_ = absl::OkStatus();
    clock_.AdvanceTo(state_->NextDeadline());
    state_->RunDeadlines();
  });
  EXPECT_TRUE(thread_.Until([&] { return state_->verified(); }));
  thread_.OnLoop([&] {
    EXPECT_TRUE(state_->troubles().empty());
    EXPECT_EQ(state_->NextDeadline(), absl::InfiniteFuture());
  });
}

TEST_F(StoredStateTest, IsNotAskedForAgainWhereTheManagerHasLess) {
  Begin(0);
  PutJournal();
  EXPECT_TRUE(thread_.Until([&] { return !told_.empty(); }));
  thread_.OnLoop([&] { EXPECT_EQ(state_->NextDeadline(), absl::InfiniteFuture()); });
}

using Names = std::vector<std::string>;

ino_t InodeOf(const UniqueFd& fd) {
  struct stat its = {};
  EXPECT_EQ(::fstat(fd.get(), &its), 0);
  return its.st_ino;
}

class StoredStateLivesTest : public testing::Test {
 protected:
  StoredStateLivesTest() { NextLife(); }
  // The next life of a service with one device.
  void NextLife() {
    state.reset();
    store = std::make_unique<FdStore>(notify, PassedDescriptors(kept.Passed()),
                                      [this] { return kept.Count(); });
    state = std::make_unique<StoredState>(*store, posted, clock, Names{"keeper-a"},
                                          [](const std::string&) {});
  }
  std::size_t Removals() {
    std::size_t removals = 0;
    for (const std::string& told : kept.Told())
      if (told.find("FDSTOREREMOVE=1") != std::string::npos) ++removals;
    return removals;
  }

  FakeFdStore kept{8};
  FakeClock clock;
  NotifySocket notify{clock};
  Posted posted;
  std::unique_ptr<FdStore> store;
  std::unique_ptr<StoredState> state;
  UniqueFd journal = Memfd("journal");
};

// Who was too busy to answer is asked again; what has ended is let go of.
TEST_F(StoredStateLivesTest, GivesAConnectionAgainUntilItIsOver) {
  const UniqueFd keeper = Memfd("keeper");
  EXPECT_TRUE(store->Push("keeper-a", keeper.get()).ok());
  for (const bool ends : {true, false}) {
    NextLife();
    for (int asked = 0; asked < 2; ++asked)
      EXPECT_EQ(InodeOf(state->Take("keeper-a")), InodeOf(keeper));
    if (ends)
      state->Remove("keeper-a");
    else
      state->Put("keeper-a", Memfd("next"));
    EXPECT_FALSE(state->Take("keeper-a"));
  }
}

// A service that is killed between a removal and a push has nothing.
TEST_F(StoredStateLivesTest, LeavesAJournalThatItGoesOnWithWhereItIs) {
  EXPECT_FALSE(state->TakeJournal());
  EXPECT_TRUE(state->PutJournal(journal.get(), {}).ok());
  for (int life = 0; life < 3; ++life) {
    NextLife();
    const UniqueFd taken = state->TakeJournal();
    EXPECT_EQ(InodeOf(taken), InodeOf(journal));
    EXPECT_TRUE(state->PutJournal(taken.get(), {}).ok());
    EXPECT_EQ(store->RemoveUntaken(), Names());
  }
  EXPECT_EQ(kept.Names(), Names{"journal-1"});
  EXPECT_EQ(Removals(), 0U);
}

TEST_F(StoredStateLivesTest, KeepsTheJournalThatWasSetAsideLast) {
  UniqueFd last = Memfd("first");
  EXPECT_TRUE(state->PutJournal(last.get(), {}).ok());
  for (int life = 0; life < 3; ++life) {
    NextLife();
    const UniqueFd bad = state->TakeJournal();
    EXPECT_EQ(InodeOf(bad), InodeOf(last));
    last = Memfd("next");
    EXPECT_TRUE(state->PutJournal(last.get(), bad).ok());
    EXPECT_EQ(store->RemoveUntaken(), Names());
    EXPECT_EQ(kept.Names(), (Names{"journal-bad", "journal-1"}));
    const auto passed = kept.Passed();
    EXPECT_EQ(InodeOf(passed[0].second), InodeOf(bad));
    EXPECT_EQ(InodeOf(passed[1].second), InodeOf(last));
  }
  NextLife();
  EXPECT_TRUE(state->PutJournal(state->TakeJournal().get(), {}).ok());
  EXPECT_EQ(store->RemoveUntaken(), Names()) << "people may look at it later, too";
}

}  // namespace
}  // namespace hlbuf
