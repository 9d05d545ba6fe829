// SPDX-License-Identifier: Apache-2.0
// Each way in which a card resets, times each thing that a client can do meanwhile. Whatever it is:
// everybody is told in time, the verdict is true, the service is not in the way, and the card is
// back, at once or as soon as whoever was named has let go.
#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <ostream>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/vm/card_rig.h"

namespace hlbuf {
namespace {

constexpr int kGraceMs = 1000;

struct Path {
  const char* name;
  std::string (*trigger)();  // of the stand-in; empty: the administrator's hard_reset
};
void PrintTo(const Path& path, std::ostream* out) { *out << path.name; }

const Path kPaths[] = {
    {"Announced", [] { return absl::StrCat(HLSIM_GRACEFUL, " ", kEventReset); }},
    {"Unannounced", [] { return std::string(); }},
    {"OfTheFirmware",
     [] { return absl::StrCat(HLSIM_FIRMWARE, " ", kEventReset | kEventUnavailable); }},
    {"AfterALostHeartbeat", [] { return std::string(HLSIM_HEARTBEAT); }},
    // The service may drill this card, so it asks for the reset itself.
    {"WhenItNeedsOne", [] { return std::string(HLSIM_NEEDS_RESET); }},
};

// The client whose conduct is looked at, and who else takes part.
struct Scene {
  DaemonProcess& daemon;
  ControlClient& control;
  LibraryClient& client;
  HeldBuffer buffer;
  ClientProcess other{Alice()};
  std::unique_ptr<Importer> importer;
};

using Action = std::function<void()>;
struct Conduct {
  const char* name;
  // Before the reset; what it returns gives up what holds up the reset, empty: nothing does.
  Action (*before)(Scene& scene);
  // Once the reset has begun.
  void (*meanwhile)(Scene& scene);
  std::uint32_t leases_held = 0;
};
void PrintTo(const Conduct& conduct, std::ostream* out) { *out << conduct.name; }

void LetGo(Scene& scene) {
  const std::string notice = scene.client.AwaitNotice("revoke ");
  const std::vector<std::string> words = absl::StrSplit(notice, ' ');
  ASSERT_EQ(words.size(), 4U) << notice;
  EXPECT_EQ(words[2], "RESET");
  EXPECT_GT(std::stoi(words[3]), 0) << "told too late";
  EXPECT_LE(std::stoi(words[3]), kGraceMs);
}
void Nothing(Scene&) {}

Action Behave(Scene&) { return nullptr; }

Action Ignore(Scene& scene) {
  scene.client.KeepWhatIsRevoked();
  return [&scene] { scene.client.process().Kill(); };
}

Action Stop(Scene& scene) {
  scene.client.process().Signal(SIGSTOP);
  return [&scene] { scene.client.process().Kill(); };
}

Action StopWithAnUnreadGrant(Scene& scene) {
  SessionThere session = SessionThere::Greeted(scene.other, scene.daemon.client_socket());
  session.Send(OpenFrame(2, {scene.buffer.id}));
  EXPECT_TRUE(Eventually([&] {
    for (const SessionSeen& seen : scene.control.SessionsOf(*Alice().uid))
      if (seen.in_flight_fds == 1) return true;
    return false;
  }));
  scene.other.Signal(SIGSTOP);
  return [&scene] { scene.other.Kill(); };
}

Action PassItOn(Scene& scene) {
  const int passed = scene.other.Take(scene.client.process().Give(scene.buffer.fd).get());
  return [&scene, passed] { scene.other.Close(passed); };
}

Action Register(Scene& scene) {
  scene.importer = std::make_unique<Importer>();
  const Outcome made = scene.importer->Register(scene.client.process().Give(scene.buffer.fd).get(),
                                                0, scene.buffer.size_bytes);
  EXPECT_EQ(made.error, 0);
  return [&scene, id = made.value] { EXPECT_EQ(scene.importer->Deregister(id), 0); };
}

Action KeepUntilDeath(Scene& scene) {
  scene.client.KeepWhatIsRevoked();
  return nullptr;
}

void Die(Scene& scene) {
  LetGo(scene);
  scene.client.process().Kill();
}

const Conduct kConducts[] = {
    {"LetsGo", Behave, LetGo},
    {"IgnoresTheNotice", Ignore, LetGo, 1},
    {"IsStopped", Stop, Nothing, 1},
    {"IsStoppedWithAnUnreadGrant", StopWithAnUnreadGrant, LetGo, 1},
    {"PassedItOnToAStranger", PassItOn, LetGo},
    {"HasItRegisteredStill", Register, LetGo},
    {"DiesMeanwhile", KeepUntilDeath, Die},
};

class AReset : public CardTest, public testing::WithParamInterface<std::tuple<Path, Conduct>> {
 protected:
  const Path& path() const { return std::get<0>(GetParam()); }
  const Conduct& conduct() const { return std::get<1>(GetParam()); }

  void Begin() {
    const std::string trigger = path().trigger();
    if (trigger.empty())
      HardReset();
    else
      card().Trigger(trigger);
  }
  // When the first event came that begins so; 0: never.
  std::int64_t TimeOf(const std::string& start) {
    for (const EventSeen& event : Events())
      if (absl::StartsWith(absl::StrCat(event.kind, " ", event.text), start)) return event.time_ms;
    return 0;
  }
  void ExpectNobodyIsInTheWayButWhoHolds(Scene& scene, const Action& let_go) {
    ASSERT_TRUE(IsSoonHeld(scene.buffer.id)) << Story();
    EXPECT_GE(TimeOf("BUFFER_VERDICT HELD"), TimeOf("DEVICE_STATE REVOKING") + kGraceMs);
    EXPECT_TRUE(Happened({conduct().leases_held > 0
                              ? "BUFFER_VERDICT HELD: 1 reference and 1 lease are still out"
                              : "BUFFER_VERDICT HELD: 1 reference is still out"}));
    EXPECT_TRUE(Becomes("RESETTING")) << Story();
    EXPECT_EQ(HardResets(), 0U);
    EXPECT_EQ(Control().Find(scene.buffer.id)->state, "FREED") << "known until the card is back";
    let_go();
  }
};

TEST_P(AReset, ComesToItsEnd) {
  UseCard();
  LibraryClient bystander = Client(Bob());
  LibraryClient client = Client(Alice());
  const HeldBuffer theirs = bystander.Allocate(kBytes);
  Scene scene{.daemon = daemon(),
              .control = Control(),
              .client = client,
              .buffer = client.Allocate(kBytes)};
  const Action let_go = conduct().before(scene);

  Begin();
  EXPECT_TRUE(StartsWith(bystander.AwaitNotice("revoke "), absl::StrCat("revoke ", theirs.id)));
  conduct().meanwhile(scene);
  if (let_go) ExpectNobodyIsInTheWayButWhoHolds(scene, let_go);

  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_EQ(HardResets(), 1U);
  EXPECT_EQ(VerdictOf(theirs.id), "PROVEN");
  EXPECT_EQ(VerdictOf(scene.buffer.id), let_go ? "HELD" : "PROVEN");
  EXPECT_TRUE(Happened({"DEVICE_STATE REVOKING", "REVOCATION_BEGAN device reset: 2 buffers, ",
                        "BUFFER_VERDICT", "BUFFER_VERDICT", "REVOCATION_ENDED 2 verdicts",
                        "DEVICE_STATE CLOSING", "DEVICE_STATE RESETTING", "DEVICE_STATE OPENING",
                        "DEVICE_STATE READY"}));
  bystander.AwaitNotice("device dev0 READY");
  EXPECT_TRUE(daemon().RunsFor(0));
}

INSTANTIATE_TEST_SUITE_P(Whatever, AReset,
                         testing::Combine(testing::ValuesIn(kPaths), testing::ValuesIn(kConducts)),
                         [](const auto& with) {
                           return absl::StrCat(std::get<0>(with.param).name, "_WhileAClient",
                                               std::get<1>(with.param).name);
                         });

}  // namespace
}  // namespace hlbuf
