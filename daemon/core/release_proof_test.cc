// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/release_proof.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "tests/support/fake_backend.h"
#include "tests/support/fake_clock.h"

namespace hlbuf {
namespace {

// Files of a fake device, watched under ids of the same numbers.
struct ReleaseProofTest : testing::Test {
  ReleaseProofTest()
      : proof(backend, deadlines, clock, [this](BufferId buffer, std::uint32_t references) {
          reports[buffer.value].push_back(references);
          if (on_report) on_report(buffer, references);
        }) {
    backend.Open([](const absl::Status&) {});
    backend.Run();
  }

  BufferId Make() {
    backend.Allocate({.size_bytes = 4096}, [this](absl::StatusOr<Allocation> made) {
      files.emplace(made->inode, *std::move(made));
    });
    backend.Run();
    return BufferId{files.rbegin()->first};
  }
  BufferId Watched(std::uint32_t others) {
    const BufferId buffer = Make();
    backend.set_others(buffer.value, others);
    Watch(buffer);
    return buffer;
  }
  void Watch(BufferId buffer) { proof.Watch(buffer, files.at(buffer.value).fd.get()); }
  // Goes on to the next deadline, and says how long that took.
  absl::Duration Wait() {
    const absl::Time began = clock.Now();
    clock.AdvanceTo(deadlines.Next());
    deadlines.Run(clock.Now());
    backend.Run();
    return clock.Now() - began;
  }
  std::vector<std::uint32_t> Reports(BufferId buffer) { return reports[buffer.value]; }

  FakeClock clock;
  Deadlines deadlines;
  FakeBackend backend;
  std::map<std::uint64_t, Allocation> files;
  std::map<std::uint64_t, std::vector<std::uint32_t>> reports;
  absl::AnyInvocable<void(BufferId, std::uint32_t)> on_report;
  ReleaseProof proof;
};

using Counts = std::vector<std::uint32_t>;

TEST_F(ReleaseProofTest, ReportsZeroAtOnceWhenNobodyElseRefers) {
  const BufferId buffer = Watched(0);
  backend.Run();
  EXPECT_EQ(Reports(buffer), Counts{0});
  EXPECT_EQ(deadlines.Next(), absl::InfiniteFuture());
}

TEST_F(ReleaseProofTest, ReportsReferencesWithoutOurs) {
  const BufferId buffer = Watched(3);
  backend.Run();
  EXPECT_EQ(Reports(buffer), Counts{3});
}

TEST_F(ReleaseProofTest, AsksAgainAfterPausesThatDouble) {
  const BufferId buffer = Watched(1);
  backend.Run();
  std::vector<absl::Duration> pauses;
  for (int i = 0; i < 14; ++i) pauses.push_back(Wait());
  EXPECT_EQ(pauses[0], ReleaseProof::kFirstPause);
  for (std::size_t i = 1; i < pauses.size(); ++i)
    EXPECT_EQ(pauses[i], std::min(pauses[i - 1] * 2, ReleaseProof::kLongestPause));
  EXPECT_EQ(pauses.back(), ReleaseProof::kLongestPause);
  backend.set_others(buffer.value, 0);
  Wait();
  EXPECT_EQ(Reports(buffer).back(), 0u);
  EXPECT_EQ(deadlines.Next(), absl::InfiniteFuture());
}

TEST_F(ReleaseProofTest, TakesAnUnreadableCountForAReference) {
  backend.unreadable = true;
  const BufferId buffer = Watched(0);
  backend.Run();
  EXPECT_EQ(Reports(buffer), Counts{1});
  backend.unreadable = false;
  Wait();
  EXPECT_EQ(Reports(buffer), (Counts{1, 0}));
}

TEST_F(ReleaseProofTest, CountsInSlicesOneAtATime) {
  for (std::size_t i = 0; i < ReleaseProof::kSlice * 2 + 2; ++i) Make();
  backend.calls.clear();
  for (const auto& [inode, file] : files) Watch(BufferId{inode});
  EXPECT_TRUE(backend.WorkOnCount());
  EXPECT_FALSE(backend.WorkOnCount()) << "the next slice waits for this one";
  backend.Run();
  // The first one went as soon as the first buffer was watched.
  EXPECT_EQ(backend.calls,
            (std::vector<std::string>{"count 1", "count 64", "count 64", "count 1"}));
  EXPECT_EQ(reports.size(), files.size());
}

TEST_F(ReleaseProofTest, CountsSoonWhateverThePauseIs) {
  const BufferId buffer = Watched(1);
  backend.Run();
  for (int i = 0; i < 12; ++i) Wait();
  proof.CountSoon(buffer);
  backend.Run();
  EXPECT_EQ(Reports(buffer).size(), 14u);
  EXPECT_EQ(Wait(), ReleaseProof::kFirstPause) << "who let go may need a moment";
}

TEST_F(ReleaseProofTest, CountsSoonOnceHoweverOftenItIsAsked) {
  const BufferId buffer = Watched(1);
  for (int i = 0; i < 5; ++i) proof.CountSoon(buffer);
  backend.Run();
  EXPECT_LE(Reports(buffer).size(), 2u);
}

// The count may have been read before what the caller knows happened.
TEST_F(ReleaseProofTest, CountsAgainWhenAskedWhileACountIsOnItsWay) {
  const BufferId buffer = Watched(1);
  backend.WorkOnCount();
  backend.set_others(buffer.value, 0);
  proof.CountSoon(buffer);
  backend.Run();
  EXPECT_EQ(Reports(buffer), (Counts{1, 0}));
}

TEST_F(ReleaseProofTest, IgnoresBuffersThatItDoesNotWatch) {
  const BufferId buffer = Watched(0);
  backend.Run();
  proof.CountSoon(buffer);
  proof.CountSoon(BufferId{99});
  backend.Run();
  EXPECT_EQ(Reports(buffer), Counts{0});
}

TEST_F(ReleaseProofTest, TakesNewBuffersWhileItReports) {
  const BufferId later = Make();
  on_report = [&](BufferId buffer, std::uint32_t) {
    if (buffer != later) Watch(later);
  };
  Watched(0);
  backend.Run();
  EXPECT_EQ(Reports(later), Counts{0});
}

TEST_F(ReleaseProofTest, SurvivesAnAnswerThatIsTooShort) {
  struct Terse final : Backend {
    const BackendTraits& traits() const override { return none; }
    void Open(Done<absl::Status>) override {}
    void Allocate(AllocationSpec, Done<absl::StatusOr<Allocation>>) override {}
    void CountReferences(std::vector<int>, Done<std::vector<std::uint32_t>> done) override {
      answer = std::move(done);
    }
    void Free(Allocation, Done<absl::Status>) override {}
    void Reset(Drill, Done<absl::Status>) override {}
    BackendTraits none;
    Done<std::vector<std::uint32_t>> answer;
  } terse;
  std::uint32_t told = 0;
  ReleaseProof short_of(terse, deadlines, clock,
                        [&told](BufferId, std::uint32_t references) { told = references; });
  short_of.Watch(BufferId{1}, 3);
  std::move(terse.answer)({});
  EXPECT_EQ(told, 1u);
}

}  // namespace
}  // namespace hlbuf
