// SPDX-License-Identifier: Apache-2.0
// The driver fails at each of its calls, with each errno that it has: whoever asked is told why,
// the operator too, and the card goes on.
#include <gtest/gtest.h>

#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/vm/card_rig.h"

namespace hlbuf {
namespace {

struct Fault {
  const char* where;
  const char* error;
  const char* code;  // of the refusal
  const char* words;
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.where << " " << fault.error; }

// With isolation, memory that was used once would be kept; without, each allocation makes every
// call.
class FaultyCard : public CardTest {
 protected:
  FaultyCard() { UseCard({.device_keys = "isolation = \"none\""}); }
};

class ACallOfAllocate : public FaultyCard, public testing::WithParamInterface<Fault> {};

TEST_P(ACallOfAllocate, FailsInWordsAndHarmsNothing) {
  const Fault& fault = GetParam();
  LibraryClient alice = Client(Alice());
  card().Inject(absl::StrCat(fault.where, " ", fault.error, " 1"));
  const std::string refusal = alice.RefusalToAllocate(kBytes);
  EXPECT_TRUE(StartsWith(refusal, fault.code));
  EXPECT_TRUE(Contains(refusal, absl::StrCat("(", fault.error, ")")));
  EXPECT_TRUE(Contains(refusal, fault.words));
  bool told = false;
  for (const EventSeen& event : Events())
    told |= event.kind == "REQUEST_REFUSED" && absl::StrContains(event.text, fault.words);
  EXPECT_TRUE(told) << Story();
  EXPECT_EQ(Control().Device("dev0").state, "READY");
  EXPECT_EQ(alice.RefusalToAllocate(kBytes), "");
  alice.ReleaseAll();
  daemon().ExpectNothingInUse();
  EXPECT_EQ(HardResets(), 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Of, ACallOfAllocate,
    testing::Values(Fault{"alloc", "EBUSY", "DEVICE_UNAVAILABLE",
                          "the card resets, or is disabled"},
                    Fault{"alloc", "ENOMEM", "NO_MEMORY", "not that many free pages"},
                    Fault{"alloc", "EAGAIN", "DEVICE_UNAVAILABLE", "try again later"},
                    Fault{"alloc", "EPERM", "DEVICE_ERROR", "ALLOC of 8 MiB"},
                    Fault{"alloc", "ENODEV", "DEVICE_UNAVAILABLE", "removed, or unbound"},
                    Fault{"map", "EBUSY", "DEVICE_UNAVAILABLE", "the card resets, or is disabled"},
                    Fault{"map", "ENOMEM", "NO_MEMORY", "address space"},
                    Fault{"map", "EINVAL", "DEVICE_ERROR", "knows no such allocation"},
                    Fault{"map", "EAGAIN", "DEVICE_UNAVAILABLE", "try again later"},
                    Fault{"map", "EPERM", "DEVICE_ERROR", "MAP of handle"},
                    Fault{"map", "ENODEV", "DEVICE_UNAVAILABLE", "removed, or unbound"},
                    Fault{"export", "EBUSY", "DEVICE_UNAVAILABLE", "the card is not operational"},
                    Fault{"export", "EINVAL", "DEVICE_ERROR", "exports no such range"},
                    Fault{"export", "ENOMEM", "NO_MEMORY", "MemoryMax= of the service's unit"},
                    Fault{"export", "EMFILE", "DEVICE_ERROR", "raise LimitNOFILE="},
                    Fault{"export", "ENFILE", "DEVICE_ERROR", "fs.file-max"},
                    Fault{"export", "EOPNOTSUPP", "UNIMPLEMENTED", "use Linux 6.7 or later"},
                    Fault{"export", "EPERM", "DEVICE_ERROR", "MMU disabled"},
                    Fault{"export", "EAGAIN", "DEVICE_UNAVAILABLE", "try again later"},
                    Fault{"export", "ENODEV", "DEVICE_UNAVAILABLE", "removed, or unbound"}),
    [](const auto& with) { return absl::StrCat(with.param.where, "_", with.param.error); });

// UNMAP is the second witness: what the driver says is exported goes to nobody, and is asked about
// again when it is needed.
TEST_F(FaultyCard, WithholdsWhatTheDriverSaysIsExportedAndFindsItAgain) {
  LibraryClient alice = Client(Alice());
  for (const char* error : {"EBUSY", "EINVAL", "EAGAIN", "EPERM"}) {
    const HeldBuffer made = alice.Allocate(kBytes);
    card().Inject(absl::StrCat("unmap ", error, " 1"));
    alice.Release(made);
    daemon().ExpectNothingInUse();
    bool told = false;
    for (const EventSeen& event : Events())
      told |= event.buffer == made.id && absl::StrContains(event.text, "are withheld until") &&
              absl::StrContains(event.text, error);
    EXPECT_TRUE(told) << Story();
  }
  // All 15 pages of the card; four of them were withheld.
  for (int i = 0; i < 15; ++i) alice.Allocate(8 << 20);
  alice.ReleaseAll();
  daemon().ExpectNothingInUse();
}

struct Opening {
  const char* where;
  const char* error;
};
void PrintTo(const Opening& opening, std::ostream* out) {
  *out << opening.where << " " << opening.error;
}

class ACallWhileItIsOpened : public FaultyCard, public testing::WithParamInterface<Opening> {};

TEST_P(ACallWhileItIsOpened, FailsAndIsTriedAgain) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  Graceful();
  alice.AwaitNotice("device dev0 RESETTING");
  card().Inject(absl::StrCat(GetParam().where, " ", GetParam().error, " 2"));
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_EQ(HardResets(), 1U);
  card().Inject("clear");
}

INSTANTIATE_TEST_SUITE_P(
    Fails, ACallWhileItIsOpened,
    testing::Values(Opening{"open", "EBUSY"}, Opening{"open", "EAGAIN"}, Opening{"open", "EPERM"},
                    Opening{"open", "ENODEV"}, Opening{"control", "EPERM"},
                    Opening{"control", "ENXIO"}, Opening{"hw_ip_info", "EBUSY"},
                    Opening{"device_status", "EAGAIN"}, Opening{"reset_count", "ENODEV"},
                    Opening{"open_stats", "EBUSY"}, Opening{"register_eventfd", "EBUSY"},
                    Opening{"register_eventfd", "ENODEV"}),
    [](const auto& with) { return absl::StrCat(with.param.where, "_", with.param.error); });

TEST_F(FaultyCard, FailsToAnswerOnceWhichCostsNobodyABuffer) {
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  for (const char* where : {"device_status", "reset_count", "get_events"}) {
    for (const char* error : {"EBUSY", "EAGAIN", "EPERM", "ENOMEM"}) {
      card().Inject(absl::StrCat(where, " ", error, " 1"));
      // Nobody asks what the driver has to tell without a sign that there is something.
      card().Trigger(absl::StrCat(HLSIM_EVENT, " ", kEventHardware));
      ASSERT_TRUE(Eventually([&] { return ReadAll(card().DebugFile("inject")).empty(); }))
          << ReadAll(card().DebugFile("inject")) << Story();
    }
  }
  EXPECT_EQ(Control().Find(made.id)->state, "LIVE") << Story();
  // The events that the failed call left are not lost.
  Graceful();
  alice.AwaitNotice("revoke ");
  EXPECT_TRUE(ComesBack()) << Story();
}

TEST_F(FaultyCard, IsLostWhenItIsSaidToHaveGone) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  card().Inject("device_status ENODEV 20");
  alice.AwaitNotice("revoke ");
  EXPECT_TRUE(Happened({"DEVICE_STATE REVOKING"}));
  bool told = false;
  for (const EventSeen& event : Events())
    told |= event.kind == "DEVICE_STATE" && absl::StrContains(event.text, "removed, or unbound");
  EXPECT_TRUE(told) << Story();
  card().Inject("clear");
  EXPECT_TRUE(ComesBack()) << Story();
}

}  // namespace
}  // namespace hlbuf
