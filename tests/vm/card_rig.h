// SPDX-License-Identifier: Apache-2.0
// A test with the service on a card of the stand-in. Needs root, and the guest.
#ifndef HLBUF_TESTS_VM_CARD_RIG_H_
#define HLBUF_TESTS_VM_CARD_RIG_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {

struct CardOptions {
  // Of the stand-in, beside short times: the driver's own window, and enough trials for a slow
  // machine.
  std::string parameters = "memory_scrub=1 watchdog_ms=30000 retries_max=600";
  std::string grace = "1s";
  bool drills = true;       // then the service asks for hard resets itself
  std::string device_keys;  // TOML, of dev0
  std::string timing;       // TOML, lines of [timing]
  std::string config;       // TOML, more sections
  bool device_is_there = true;
  bool supervised = false;  // killed, it comes back and goes on
  std::string crash_point;  // "NAME:COUNT", of its first life
};

// What the kernel has logged since this object was made.
class KernelLog {
 public:
  KernelLog();
  std::string Text();

 private:
  UniqueFd fd_;
  std::string text_;
};

class CardTest : public DaemonTest {
 protected:
  static constexpr std::uint64_t kBytes = 64 << 10;

  // A card and a service that all tests of this program use, as the first one wants them, until one
  // asks for its own.
  void UseCard(const CardOptions& options = {});
  // The stand-in, then the service with the card as dev0. Or one by one, in either order.
  void StartOnCard(const CardOptions& options = {});
  void StartService(const CardOptions& options = {});
  Hlsim& LoadCard(const std::string& parameters);
  Hlsim& card() const { return *sim_; }
  // Since the test began.
  std::uint64_t HardResets() const { return sim_->HardResets() - resets_before_; }

  ControlClient& Control();
  LibraryClient Client(const User& user) { return {user, daemon().client_socket()}; }
  // Once a supervised service has died: until its next life, with whom this test speaks from now
  // on, is ready. Its device may not be.
  void AwaitNextLife(int life);
  // hl-bufctl, as root.
  Program Command(std::vector<std::string> arguments) const;
  Finished Ctl(std::vector<std::string> arguments) const { return RunToEnd(Command(arguments)); }
  std::string CtlOutput() const { return ReadAll(directory_.path() + "/output"); }

  void TearDown() override;

  // dev0 is READY in the epoch that the test began with, and `resets` later, and gives out memory.
  // Tells the test's report how many of those it waited for there were.
  // `spare`: so many epochs more may have begun and ended.
  bool ComesBack(std::uint64_t resets = 1, std::uint64_t spare = 0);
  bool Becomes(const std::string& state);  // dev0
  // Everything that may help to understand a failure.
  std::string Story();

  void Graceful(int which = 0) {
    card().Trigger(absl::StrCat(HLSIM_GRACEFUL, " ", kEventReset), which);
  }
  // As an administrator does, by sysfs.
  void HardReset(int which = 0) const;

  // Those of this test.
  std::vector<EventSeen> Events() { return Control().Events(first_event_); }
  // "VERDICT", of the last revocation that asked for the buffer; empty: none yet.
  std::string VerdictOf(std::uint64_t buffer);
  bool IsSoonHeld(std::uint64_t buffer);
  // "KIND text", in order.
  std::vector<std::string> EventLines();
  // Whether there are events that begin so, in this order, perhaps with others between.
  testing::AssertionResult Happened(const std::vector<std::string>& starts);

 private:
  struct Shared;
  static Shared& OfAllTests();
  static Shared& shared_;
  void Remember();

  TemporaryDirectory directory_;
  std::unique_ptr<Hlsim> own_sim_;
  Hlsim* sim_ = nullptr;
  std::unique_ptr<ControlClient> control_;
  std::unique_ptr<LibraryClient> asker_;
  // As the test began.
  std::uint64_t epoch_ = 0;
  std::uint64_t first_event_ = 1;
  std::uint64_t resets_before_ = 0;
  std::uint64_t resets_completed_ = 0;
  int probes_ = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_VM_CARD_RIG_H_
