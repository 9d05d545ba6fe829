// SPDX-License-Identifier: Apache-2.0
#include "tests/vm/card_rig.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace hlbuf {

KernelLog::KernelLog() : fd_(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
  EXPECT_TRUE(fd_) << std::strerror(errno);
  lseek(fd_.get(), 0, SEEK_END);
}

std::string KernelLog::Text() {
  std::array<char, 8192> record = {};
  for (;;) {
    const ssize_t n = read(fd_.get(), record.data(), record.size());
    if (n < 0 && errno == EPIPE) continue;  // some were overwritten
    if (n <= 0) return text_;
    text_.append(record.data(), static_cast<std::size_t>(n));
  }
}

// Ends before GoogleTest counts the failures.
struct CardTest::Shared final : testing::Environment {
  void TearDown() override {
    if (daemon == nullptr) return;
    EXPECT_EQ(daemon->Stop(), 0) << daemon->Log();
    daemon.reset();
    sim.reset();
  }
  std::unique_ptr<Hlsim> sim;
  std::unique_ptr<DaemonProcess> daemon;
};

CardTest::Shared& CardTest::OfAllTests() {
  static auto* const shared = static_cast<Shared*>(testing::AddGlobalTestEnvironment(new Shared));
  return *shared;
}

// Before the tests run, which is when GoogleTest takes environments.
CardTest::Shared& CardTest::shared_ = CardTest::OfAllTests();

namespace {

DaemonOptions OptionsOf(const CardOptions& options) {
  std::vector<std::string> environment;
  if (!options.crash_point.empty())
    environment.push_back("HLBUF_CRASH_POINT=" + options.crash_point);
  return {
      .kind = "habanalabs",
      .drills = options.drills,
      .device_keys = options.device_keys,
      .config = absl::StrCat("[timing]\nreset_grace = \"", options.grace, "\"\n", options.timing,
                             "[limits.domain]\nbytes = \"1GiB\"\n"
                             "[log]\nlevel = \"debug\"\n",
                             options.config),
      .device_is_there = options.device_is_there,
      .supervised = options.supervised,
      .environment = std::move(environment)};
}

}  // namespace

void CardTest::UseCard(const CardOptions& options) {
  if (shared_.daemon == nullptr) {
    shared_.sim = std::make_unique<Hlsim>(options.parameters);
    shared_.daemon = std::make_unique<DaemonProcess>(OptionsOf(options));
  }
  sim_ = shared_.sim.get();
  Borrow(*shared_.daemon);
  Remember();
}

Hlsim& CardTest::LoadCard(const std::string& parameters) {
  shared_.TearDown();
  own_sim_ = std::make_unique<Hlsim>(parameters);
  sim_ = own_sim_.get();
  return *sim_;
}

void CardTest::StartOnCard(const CardOptions& options) {
  LoadCard(options.parameters);
  StartService(options);
}

void CardTest::StartService(const CardOptions& options) {
  Start(OptionsOf(options));
  Remember();
}

void CardTest::Remember() {
  epoch_ = Control().EpochOf("dev0");
  first_event_ = Control().NextEvent();
  if (sim_ != nullptr) resets_before_ = sim_->HardResets();
}

// Their descriptors are none that the service has to answer for.
void CardTest::TearDown() {
  asker_.reset();
  control_.reset();
  DaemonTest::TearDown();
}

ControlClient& CardTest::Control() {
  if (control_ == nullptr) control_ = std::make_unique<ControlClient>(daemon().control_socket());
  return *control_;
}

void CardTest::AwaitNextLife(int life) {
  EXPECT_TRUE(daemon().supervisor().HasEnded(life - 1)) << "it lives";
  EXPECT_TRUE(daemon().supervisor().BecomesReady(life)) << daemon().Log();
  control_.reset();
  asker_.reset();
}

Program CardTest::Command(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), BuiltPath("client/ctl/hl-bufctl"));
  return {.arguments = std::move(arguments),
          .environment = {"HLBUF_CONTROL=" + daemon().control_socket()},
          .output = directory_.path() + "/output"};
}

bool CardTest::Becomes(const std::string& state) {
  return Eventually([&] { return Control().Device("dev0").state == state; });
}

bool CardTest::ComesBack(std::uint64_t resets, std::uint64_t spare) {
  if (asker_ == nullptr) asker_ = std::make_unique<LibraryClient>(Bob(), daemon().client_socket());
  const bool back = Eventually([&] {
    const DeviceSeen device = Control().Device("dev0");
    return device.epoch >= epoch_ + resets && device.epoch <= epoch_ + resets + spare &&
           device.state == "READY" &&
           asker_->RefusalToAllocate(kBytes, absl::StrCat("probe-", ++probes_)).empty();
  });
  asker_->ReleaseAll();
  if (back) resets_completed_ = resets;
  RecordProperty("resets_tried", absl::StrCat(resets));
  RecordProperty("resets_completed", absl::StrCat(resets_completed_));
  return back;
}

std::string CardTest::Story() {
  return absl::StrCat(absl::StrJoin(EventLines(), "\n"), "\n", card().State());
}

void CardTest::HardReset(int which) const {
  std::ofstream(sim_->Attribute("hard_reset", which)) << "1" << std::flush;
}

std::string CardTest::VerdictOf(std::uint64_t buffer) {
  std::string verdict;
  for (const EventSeen& event : Events())
    if (event.kind == "BUFFER_VERDICT" && event.buffer == buffer) verdict = event.verdict;
  return verdict;
}

bool CardTest::IsSoonHeld(std::uint64_t buffer) {
  return Eventually([&] { return VerdictOf(buffer) == "HELD"; });
}

std::vector<std::string> CardTest::EventLines() {
  std::vector<std::string> lines;
  for (const EventSeen& event : Events())
    lines.push_back(absl::StrCat(event.kind, " ", event.text));
  return lines;
}

testing::AssertionResult CardTest::Happened(const std::vector<std::string>& starts) {
  const std::vector<std::string> lines = EventLines();
  std::size_t found = 0;
  for (const std::string& line : lines)
    if (found < starts.size() && absl::StartsWith(line, starts[found])) ++found;
  if (found == starts.size()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no '" << starts[found] << "' in its place among:\n"
                                     << absl::StrJoin(lines, "\n");
}

}  // namespace hlbuf
