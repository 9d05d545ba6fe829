// SPDX-License-Identifier: Apache-2.0
// $HLBUF_RESETS resets (100) of every kind that the card takes, one after the other, while clients
// use it without a pause. Nothing may be lost, mixed up or left behind. Its figures are properties
// in the XML: reset_tried, reset_completed, reset_leaks.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/card/card_under_test.h"
#include "tests/card/device_watch.h"
#include "tests/card/load.h"
#include "tests/card/process_facts.h"
#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::size_t kClients = 6;
// Before each reset, so that none finds an idle card.
constexpr std::uint64_t kGrantsBetween = 40;
// By then caches are warm and the allocator has what it needs.
constexpr int kBaseline = 20;
// The service remembers 16,384 buffers that have ended and as many events, of which two or three
// are a buffer's. A fate is 104 bytes in a table that may be half empty, and a text of up to 110;
// an event is 200 bytes and such a text: for each of the 16,384 some 330 and some 310 bytes at the
// most. Until they are full memory grows by that, by some 500 bytes a buffer as seen; then no more.
// So a short run finds what leaks a few hundred bytes a buffer; a soak, which goes on when they are
// full, whatever leaks more than the slack at all.
constexpr std::uint64_t kRememberedBytes = 768, kRememberedBuffers = 16'384;
// What the allocator may keep for another pattern of use: thirty times an idle client's records.
constexpr std::uint64_t kSlackBytes = 1 << 20;

int ResetsWanted() {
  const char* text = std::getenv("HLBUF_RESETS");
  return text != nullptr ? std::max(1, static_cast<int>(std::strtol(text, nullptr, 10))) : 100;
}

// The driver's own patience, since emulated processors are slow; quick where nobody has to wait.
const char* const kStandIn =
    "memory_scrub=1 watchdog_ms=30000 pending_ms=10000 retry_ms=10000 retries_max=60";

class ResetLoad : public DaemonTest {
 protected:
  ResetLoad() {
    if (card_.Resets().empty()) return;
    Start({.kind = "habanalabs",
           .device_keys = card_.DeviceKeys(),
           .config = "[timing]\nreset_grace = \"10s\"\n[limits.domain]\nbytes = \"1GiB\"\n"});
    control_ = std::make_unique<ControlClient>(daemon().control_socket());
    watch_ = std::make_unique<DeviceWatch>(daemon().client_socket());
    load_ = std::make_unique<Load>(daemon().client_socket(), kClients, card_.importer());
    first_epoch_ = control_->EpochOf("dev0");
    first_count_ = card_.nodes().Number("hard_reset_cnt");
  }

  // What the service and the card have when no client has anything.
  struct Quiet {
    std::uint64_t bytes = 0;  // of the service's own memory
    std::uint64_t ended = 0;  // buffers, so far
    std::map<std::string, int> descriptors;
    std::size_t mappings = 0;  // the driver's, where it tells
  };
  Quiet AtRest() {
    EXPECT_TRUE(load_->Rests()) << load_->Failures();
    daemon().ExpectNothingInUse();
    const std::string state = card_.State();
    std::size_t mappings = 0;
    for (std::size_t at = 0; (at = state.find("address=", at)) != std::string::npos; ++at)
      ++mappings;
    return {.bytes = AnonymousBytesOf(daemon().pid()),
            .ended = load_->Totals().allocated,
            .descriptors = daemon().Descriptors(),
            .mappings = mappings};
  }

  // Whether the card was back, in the next epoch, in time.
  bool ResetOnce(int number) {
    const std::vector<ResetKind> kinds = card_.Resets();
    const ResetKind kind = kinds[static_cast<std::size_t>(number) % kinds.size()];
    EXPECT_TRUE(load_->Works(kGrantsBetween)) << load_->Failures() << load_->Totals().Text();
    const auto begin = std::chrono::steady_clock::now();
    card_.Reset(kind);
    const std::uint64_t epoch = first_epoch_ + static_cast<std::uint64_t>(number);
    const bool ready = watch_->BecomesReady(epoch, card_.ResetPatience());
    const auto took = std::chrono::steady_clock::now() - begin;
    took_ms_.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(took).count());
    EXPECT_TRUE(ready) << number << ", " << ResetKindText(kind) << "\n" << card_.State();
    EXPECT_EQ(control_->EpochOf("dev0"), epoch);
    EXPECT_EQ(card_.nodes().Number("hard_reset_cnt"), first_count_ + epoch - first_epoch_);
    return ready;
  }

  void Tell(int number) {
    std::printf("progress: %d resets, the last in %ld ms; %s\n", number, took_ms_.back(),
                load_->Totals().Text().c_str());
    std::fflush(stdout);
  }

  // Whether the service's memory has grown by no more than what it remembers.
  static bool HasNotGrown(const Quiet& before, const Quiet& now) {
    const auto to_be_remembered = [](const Quiet& quiet) {
      return kRememberedBytes * std::min(quiet.ended, kRememberedBuffers);
    };
    std::printf("anonymous memory: %lu KiB, then %lu KiB after %lu buffers\n", before.bytes / 1024,
                now.bytes / 1024, now.ended - before.ended);
    return now.bytes <=
           before.bytes + kSlackBytes + to_be_remembered(now) - to_be_remembered(before);
  }

  bool HasItsKeeperAlone() {
    return Eventually([this] {
      const std::vector<ChildFacts> children = ChildrenOf(daemon().pid());
      return children.size() == 1 && children[0].program == "hl-bufd-keeper";
    });
  }

  // What was left behind since either of these, one for each kind of thing.
  int Leaks(const Quiet& before, const Quiet& full) {
    const Quiet now = AtRest();
    int leaks = 0;
    const auto none = [&leaks](bool fine, const std::string& what) {
      if (!fine) ++leaks;
      EXPECT_TRUE(fine) << what;
    };
    none(HasNotGrown(before, now) && (full.ended == before.ended || HasNotGrown(full, now)),
         "memory of the service");
    none(daemon().UsedBytes() == 0, "memory of the card");
    none(now.mappings <= before.mappings, absl::StrCat("chunks:\n", card_.State()));
    none(now.descriptors == before.descriptors, "descriptors of the service");
    none(HasItsKeeperAlone(), "keepers or zombies");
    none(control_->Buffers().empty(), "buffers");
    const Importer* importer = card_.stand_in_importer();
    none(importer == nullptr || importer->Held().empty(), "registrations");
    return leaks;
  }

  CardUnderTest card_ = CardUnderTest(kStandIn);
  std::unique_ptr<ControlClient> control_;
  std::unique_ptr<DeviceWatch> watch_;
  std::unique_ptr<Load> load_;
  std::uint64_t first_epoch_ = 0, first_count_ = 0;
  std::vector<long> took_ms_;
};

TEST_F(ResetLoad, LosesNothingHoweverOftenACardInUseIsReset) {
  if (card_.Resets().empty()) GTEST_SKIP() << "the card may not be reset; --drill allows it";
  ASSERT_FALSE(HasFailure()) << "the service, its clients or the card are not there";
  const int wanted = ResetsWanted();
  const int baseline = std::min(kBaseline, wanted / 2);
  int tried = 0, completed = 0;
  Quiet before, full;  // full: when nothing more is remembered, which takes a soak
  while (tried < wanted && !HasFailure()) {
    const bool fills =
        full.ended < kRememberedBuffers && load_->Totals().allocated >= kRememberedBuffers;
    if (tried == baseline || fills) {
      full = AtRest();
      if (tried == baseline) before = full;
      load_->Continue();
    }
    if (ResetOnce(++tried)) ++completed;
    if (tried % 10 == 0) Tell(tried);
  }
  const int leaks = Leaks(before, full);
  RecordProperty("reset_tried", tried);
  RecordProperty("reset_completed", completed);
  RecordProperty("reset_leaks", leaks);
  std::sort(took_ms_.begin(), took_ms_.end());
  RecordProperty("reset_median_ms", static_cast<int>(took_ms_[took_ms_.size() / 2]));
  RecordProperty("reset_longest_ms", static_cast<int>(took_ms_.back()));
  EXPECT_EQ(completed, wanted);

  const LoadTotals totals = load_->Totals();
  std::printf("%s\n", totals.Text().c_str());
  EXPECT_EQ(totals.mixed_up, 0U);
  EXPECT_EQ(totals.failed, 0U) << load_->Failures();
  EXPECT_GT(totals.revoked, 0U);
  if (!card_.importer().empty()) {
    EXPECT_GT(totals.checked, totals.opened);
  }
  load_->End();
  // Nobody who behaves is called a holder.
  EXPECT_FALSE(Contains(daemon().Log(), "HELD")) << daemon().Log();
  watch_.reset();
  control_.reset();
}

}  // namespace
}  // namespace hlbuf
