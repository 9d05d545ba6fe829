// SPDX-License-Identifier: Apache-2.0
// A card of the stand-in, with a real keeper, whose service ends and comes back: what the exporter
// makes of it. An exporter that is destroyed without being closed stands for a process that is
// killed: the kernel sees the same descriptors close.
#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/device/habanalabs_exporter.h"
#include "daemon/device/keeper_opener.h"
#include "daemon/device/recorded_notes.h"
#include "tests/support/child.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;
constexpr std::uint64_t kChunkBytes = 8 << 20;
const Domain kAlice{.uid = 1000, .container = ""};
const Domain kBob{.uid = 1001, .container = ""};

class ResumedCard : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    sim_.emplace(
        absl::StrCat("page_mib=8 dram_mib=32 watchdog_ms=30000 retries_max=600 ", GetParam()));
    importer_.emplace();
    Begin();
    const absl::Status opened = exporter_->Open();
    ASSERT_TRUE(opened.ok()) << opened;
  }
  void TearDown() override {
    held_.clear();
    importer_->Close();
    (void)exporter_->Reset(Drill::kNone);
    exporter_.reset();
  }
  void Begin() {
    auto opener = std::make_unique<KeeperOpener>("card", keepers_);
    opener_ = opener.get();
    exporter_ = std::make_unique<HabanalabsExporter>(
        DeviceConfig{.name = "card", .kind = "habanalabs"}, kernel_, std::move(opener));
    exporter_->WriteNotesTo(notes_);
  }
  // Exports a buffer that the journal knows, and writes into it.
  void Make(const std::string& bytes, const Domain& domain = kAlice) {
    auto made = exporter_->Export({.size_bytes = kBytes, .domain = domain});
    ASSERT_TRUE(made.ok()) << made.status();
    journal_.buffers.push_back({.size_bytes = made->size_bytes,
                                .window = made->window,
                                .inode = made->inode,
                                .domain = domain});
    const Outcome registered = importer_->Register(made->fd.get(), 0, kBytes);
    ASSERT_EQ(registered.error, 0);
    EXPECT_EQ(importer_->Write(registered.value, 0, bytes), 0);
    EXPECT_EQ(importer_->Deregister(registered.value), 0);
    held_.push_back(std::move(made->fd));
  }
  std::string BytesOf(const UniqueFd& fd, std::uint64_t size) {
    const Outcome registered = importer_->Register(fd.get(), 0, kBytes);
    EXPECT_EQ(registered.error, 0);
    const std::string bytes = importer_->Read(registered.value, 0, size);
    EXPECT_EQ(importer_->Deregister(registered.value), 0);
    return bytes;
  }
  void Kill() {
    held_.clear();
    exporter_.reset();
    Begin();
  }
  Resumed Resume() {
    journal_.notes = notes_.all();
    auto resumed = exporter_->Resume(journal_);
    EXPECT_TRUE(resumed.ok()) << resumed.status() << "\n" << sim_->State();
    if (!resumed.ok()) return {};
    held_ = std::move(resumed->fds);
    resumed->fds.clear();
    return *std::move(resumed);
  }
  Resumed KillAndResume() {
    Kill();
    return Resume();
  }
  // What is in a buffer that the domain gets now; nullopt: it gets none.
  std::optional<std::string> Finds(const Domain& domain) {
    auto made = exporter_->Export({.size_bytes = kBytes, .domain = domain});
    if (!made.ok()) return std::nullopt;
    std::string bytes = BytesOf(made->fd, 7);
    EXPECT_TRUE(exporter_->Free(*std::move(made)).ok());
    return bytes;
  }
  absl::Status Free(std::size_t i) {
    const Resumption::Buffer& buffer = journal_.buffers[i];
    return exporter_->Free({.fd = std::move(held_[i]),
                            .size_bytes = buffer.size_bytes,
                            .window = buffer.window,
                            .inode = buffer.inode});
  }
  void ExpectOpens() {
    const absl::Status opened = exporter_->Open();
    EXPECT_TRUE(opened.ok()) << opened << "\n" << sim_->State();
  }
  pid_t keeper() const { return opener_->keeper()->pid(); }

  TemporaryDirectory directory_;
  std::optional<Hlsim> sim_;
  std::optional<Importer> importer_;
  Syscalls kernel_;
  SpawnedKeepers keepers_ =
      SpawnedKeepers(BuiltPath("daemon/hl-bufd-keeper"), directory_.path() + "/keepers");
  RecordedNotes notes_;
  Resumption journal_;
  KeeperOpener* opener_ = nullptr;
  std::unique_ptr<HabanalabsExporter> exporter_;
  std::vector<UniqueFd> held_;
};

TEST_P(ResumedCard, HasTheSameWindowsWithTheSameBytesAndExportsNothingTwice) {
  Make("alice's");
  Make("bob's", kBob);
  Make("more of alice");
  const std::string before = sim_->State();
  for (int life = 0; life < 3; ++life) {
    const Resumed resumed = KillAndResume();
    EXPECT_FALSE(resumed.memory_is_gone);
    EXPECT_EQ(resumed.lost, "");
    EXPECT_EQ(sim_->State(), before) << "as open, mapped and exported as ever";
    ASSERT_EQ(held_.size(), 3u);
    EXPECT_EQ(BytesOf(held_[0], 7), "alice's");
    EXPECT_EQ(BytesOf(held_[1], 5), "bob's");
    EXPECT_EQ(BytesOf(held_[2], 13), "more of alice");
    EXPECT_FALSE(exporter_->CheckAlarm().has_value());
  }
  for (std::size_t i = 0; i < 3; ++i) {
    const absl::Status freed = Free(i);
    EXPECT_TRUE(freed.ok()) << freed;
  }
  EXPECT_EQ(Finds(kAlice), "alice's") << "at the same place";
  EXPECT_EQ(sim_->HardResets(), 0u);
}

TEST_P(ResumedCard, LearnsOfAResetThatWasAnnouncedMeanwhileAndCompletesIt) {
  Make("x");
  EXPECT_FALSE(exporter_->CheckAlarm().has_value());
  Kill();
  sim_->Trigger(absl::StrCat(HLSIM_GRACEFUL, " ", kEventReset));
  const Resumed resumed = Resume();
  EXPECT_FALSE(resumed.memory_is_gone);
  const auto alarm = exporter_->CheckAlarm();
  ASSERT_TRUE(alarm.has_value()) << sim_->State();
  EXPECT_EQ(alarm->kind, Alarm::Kind::kResetPending);
  EXPECT_LT(alarm->window, exporter_->traits().reset_window + absl::Milliseconds(1));
  EXPECT_TRUE(Free(0).ok());
  const absl::Status reset = exporter_->Reset(Drill::kNone);
  EXPECT_TRUE(reset.ok()) << reset;
  EXPECT_EQ(sim_->HardResets(), 1u);
  ExpectOpens();
}

TEST_P(ResumedCard, KnowsThatAResetTookEverythingMeanwhile) {
  Make("alice's");
  Kill();
  sim_->Trigger(HLSIM_UNGRACEFUL);
  EXPECT_TRUE(sim_->BecomesOperational()) << sim_->State();
  EXPECT_EQ(sim_->HardResets(), 1u);
  const Resumed resumed = Resume();
  EXPECT_TRUE(resumed.memory_is_gone);
  EXPECT_FALSE(held_[0]);
  ExpectOpens();
  EXPECT_NE(Finds(kBob), "alice's") << "which are there, with memory_scrub=0";
  EXPECT_TRUE(Finds(kAlice).has_value());
}

TEST_P(ResumedCard, ClosesACardWhoseKeeperWasKilledMeanwhile) {
  Make("alice's");
  const pid_t killed = keeper();
  Kill();
  ASSERT_EQ(::kill(killed, SIGKILL), 0);
  EXPECT_TRUE(sim_->BecomesOperational()) << sim_->State();
  const Resumed resumed = Resume();
  EXPECT_TRUE(resumed.memory_is_gone);
  EXPECT_NE(resumed.lost, "");
  EXPECT_EQ(sim_->HardResets(), 0u);
  ExpectOpens();
  EXPECT_NE(Finds(kBob), "alice's");
}

// The driver has forgotten what it told a process that could not say so any more.
TEST_P(ResumedCard, TakesAReadThatItCannotKnowTheEndOfForAReset) {
  Make("x");
  sim_->Trigger(absl::StrCat(HLSIM_GRACEFUL, " ", kEventReset));
  std::map<std::uint64_t, std::string> written;
  notes_.ahead = [&] { written = notes_.notes; };
  EXPECT_TRUE(exporter_->CheckAlarm().has_value());
  notes_.ahead = nullptr;
  notes_.notes = written;
  EXPECT_FALSE(KillAndResume().memory_is_gone);
  EXPECT_EQ(exporter_->CheckAlarm()->kind, Alarm::Kind::kResetPending);
}

TEST_P(ResumedCard, GivesABlindWindowOutOnlyWhenTheDriverSaysThatNobodyHasIt) {
  Make("alice's");
  Make("other");
  const Outcome mapped = importer_->Register(held_[0].get(), 0, kBytes);  // and nobody knows
  ASSERT_EQ(mapped.error, 0);
  exporter_->DropCopies({held_[0].get()});
  const Resumed resumed = KillAndResume();
  EXPECT_FALSE(held_[0]);
  EXPECT_TRUE(held_[1]);
  EXPECT_FALSE(Free(0).ok());
  EXPECT_EQ(exporter_->usage().withheld_bytes, kBytes);
  if (std::string(GetParam()) != "") return;  // a Gaudi has no UNMAP to ask
  EXPECT_FALSE(Free(1).ok()) << "UNMAP fails";
  EXPECT_EQ(exporter_->usage().withheld_bytes, kChunkBytes);
  EXPECT_EQ(importer_->Deregister(mapped.value), 0);
  std::vector<Allocation> all;
  for (;;) {
    auto made = exporter_->Export({.size_bytes = kChunkBytes, .domain = kAlice});
    if (!made.ok()) break;
    all.push_back(*std::move(made));
  }
  EXPECT_EQ(all.size(), 3u) << "the whole card";
  for (Allocation& allocation : all) EXPECT_TRUE(exporter_->Free(std::move(allocation)).ok());
}

TEST_P(ResumedCard, DropsWhatWasExportedAndNeverGivenToAnybody) {
  Make("x");
  auto late = exporter_->Export({.size_bytes = kBytes, .domain = kBob});
  ASSERT_TRUE(late.ok());
  late->fd.Reset();
  KillAndResume();
  EXPECT_EQ(exporter_->usage().out_bytes, kBytes);
  EXPECT_TRUE(Free(0).ok()) << "and UNMAP finds nothing exported";
}

INSTANTIATE_TEST_SUITE_P(Gaudi2, ResumedCard, testing::Values(""));
INSTANTIATE_TEST_SUITE_P(Gaudi, ResumedCard, testing::Values("asic=gaudi"));

class ResumedGaudi2 : public ResumedCard {};

// Killed between ALLOC and its note.
TEST_P(ResumedGaudi2, TellsOfMemoryThatNobodyHasTheHandleOf) {
  Make("x");
  const auto before = notes_.notes;
  auto lost = exporter_->Export({.size_bytes = kChunkBytes, .domain = kAlice});
  ASSERT_TRUE(lost.ok());
  lost->fd.Reset();
  notes_.notes = before;
  const Resumed resumed = KillAndResume();
  EXPECT_FALSE(resumed.memory_is_gone);
  EXPECT_TRUE(absl::StrContains(resumed.lost, "8 MiB of the card's memory")) << resumed.lost;
  EXPECT_TRUE(Free(0).ok());
  EXPECT_TRUE(exporter_->Reset(Drill::kNone).ok());
  ExpectOpens();
  EXPECT_EQ(exporter_->usage().lost_bytes, 0u);
}

INSTANTIATE_TEST_SUITE_P(Gaudi2, ResumedGaudi2, testing::Values(""));

}  // namespace
}  // namespace hlbuf
