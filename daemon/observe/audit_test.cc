// SPDX-License-Identifier: Apache-2.0
#include "daemon/observe/audit.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/core/absences.h"
#include "daemon/core/enforcement.h"
#include "tests/support/fake_clock.h"

namespace hlbuf {
namespace {

struct Line {
  LogLevel level;
  std::string text;
  std::map<std::string, std::string> fields;
};

class AuditTest : public testing::Test {
 protected:
  void Start(LogLevel level = LogLevel::kInfo) {
    audit.emplace(
        log, clock, level,
        [this](LogLevel urgency, absl::string_view text, absl::Span<const LogField> fields) {
          Line line = {.level = urgency, .text = std::string(text)};
          for (const LogField& field : fields)
            line.fields.emplace(std::string(field.name), field.value);
          lines.push_back(std::move(line));
        });
  }
  void Violate(uid_t uid) {
    log.OnEvent({.kind = EventKind::kProtocolBroken,
                 .session = SessionId{uid},
                 .domain = {.uid = uid},
                 .pid = 7,
                 .text = "a frame of 3 bytes"});
  }

  EventLog log{1, 64};
  FakeClock clock;
  std::vector<Line> lines;
  std::optional<Audit> audit;
};

TEST_F(AuditTest, SaysWhoDidWhatInWordsAndInFields) {
  Start();
  log.OnEvent({.kind = EventKind::kRequestRefused,
               .device = "software0",
               .buffer = BufferId{0x1a},
               .session = SessionId{0x2b},
               .domain = {.uid = 1000, .container = "0123456789abcdef"},
               .pid = 42,
               .text = "rule nothing-matched"});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].level, LogLevel::kWarning);
  EXPECT_EQ(lines[0].text,
            "REQUEST_REFUSED software0 buffer 1a session 2b of uid 1000, container 0123456789ab, "
            "pid 42: rule nothing-matched");
  EXPECT_EQ(lines[0].fields,
            (std::map<std::string, std::string>{{"HLBUFD_EVENT", "REQUEST_REFUSED"},
                                                {"HLBUFD_SEQUENCE", "1"},
                                                {"HLBUFD_DEVICE", "software0"},
                                                {"HLBUFD_BUFFER", "1a"},
                                                {"HLBUFD_SESSION", "2b"},
                                                {"HLBUFD_UID", "1000"},
                                                {"HLBUFD_CONTAINER", "0123456789abcdef"},
                                                {"HLBUFD_PID", "42"}}));
}

TEST_F(AuditTest, LeavesOutWhatAnEventDoesNotSay) {
  Start();
  log.OnEvent({.kind = EventKind::kDeviceState, .device = "software0", .text = "READY"});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].level, LogLevel::kNotice);
  EXPECT_EQ(lines[0].text, "DEVICE_STATE software0: READY");
  EXPECT_EQ(lines[0].fields.count("HLBUFD_UID"), 0u);
}

TEST_F(AuditTest, WarnsOfWhatIsHeldAndKeepsWhatCameBackForDebugging) {
  Start();
  log.OnEvent({.kind = EventKind::kBufferVerdict,
               .buffer = BufferId{1},
               .verdict = Verdict{.kind = Verdict::Kind::kProven}});
  EXPECT_TRUE(lines.empty());
  log.OnEvent({.kind = EventKind::kBufferVerdict,
               .buffer = BufferId{2},
               .verdict = Verdict{.kind = Verdict::Kind::kHeld, .references = 1}});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].level, LogLevel::kWarning);
  EXPECT_EQ(lines[0].fields.at("HLBUFD_VERDICT"), "HELD");
}

TEST_F(AuditTest, WarnsOfALeaseThatAnUnshareDidNotGetBack) {
  Start();
  log.OnEvent({.kind = EventKind::kRevocationBegan, .buffer = BufferId{1}});
  EXPECT_TRUE(lines.empty());
  log.OnEvent({.kind = EventKind::kRevocationEnded, .buffer = BufferId{1}});
  log.OnEvent({.kind = EventKind::kRevocationEnded, .revocation = RevocationId{1}});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].level, LogLevel::kWarning);
  EXPECT_EQ(lines[1].level, LogLevel::kNotice);
}

TEST_F(AuditTest, TellsEverythingWhenAskedToDebug) {
  Start(LogLevel::kDebug);
  for (int i = 0; i < 1000; ++i) log.OnEvent({.kind = EventKind::kBufferAllocated});
  EXPECT_EQ(lines.size(), 1000u);
}

TEST_F(AuditTest, LimitsOneDomainWithoutSilencingOthers) {
  Start();
  for (int i = 0; i < 1000; ++i) Violate(1);
  EXPECT_EQ(lines.size(), 5u);
  Violate(2);
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines.back().text,
            "PROTOCOL_BROKEN session 2 of uid 2, pid 7: a frame of 3 bytes "
            "(995 more before were not logged)");
  Violate(2);
  EXPECT_EQ(lines.back().text, "PROTOCOL_BROKEN session 2 of uid 2, pid 7: a frame of 3 bytes");
}

TEST_F(AuditTest, DoesNotCountViolationsAgainstRefusals) {
  Start();
  for (uid_t uid = 0; uid < 1000; ++uid) Violate(uid);
  const std::size_t before = lines.size();
  log.OnEvent({.kind = EventKind::kRequestRefused, .domain = {.uid = 1}});
  EXPECT_EQ(lines.size(), before + 1);
}

TEST_F(AuditTest, WritesLessThanAHundredLinesAboutAHundredThousandViolatorsInAMinute) {
  Start();
  constexpr uid_t kViolators = 100'000;
  for (uid_t uid = 0; uid < kViolators; ++uid) {
    clock.Advance(absl::Minutes(1) / kViolators);
    Violate(uid);
    for (const EventKind kind : {EventKind::kRequestRefused, EventKind::kPingUnanswered,
                                 EventKind::kReferencesOutliveLeases})
      log.OnEvent({.kind = kind, .domain = {.uid = uid}});
  }
  EXPECT_LT(lines.size(), 100u);
  EXPECT_GT(lines.size(), 50u);
}

TEST_F(AuditTest, LeavesNoSignalOut) {
  Start();
  for (pid_t pid = 1; pid <= 100; ++pid)
    log.OnEvent({.kind = EventKind::kHolderSignalled,
                 .session = SessionId{9},
                 .revocation = RevocationId{0xa},
                 .domain = {.uid = 1000},
                 .pid = pid,
                 .text = "SIGKILL sent"});
  ASSERT_EQ(lines.size(), 100u);
  EXPECT_EQ(lines[0].level, LogLevel::kNotice);
  EXPECT_EQ(lines[99].text,
            "HOLDER_SIGNALLED revocation a session 9 of uid 1000, pid 100: SIGKILL sent");
  EXPECT_EQ(lines[99].fields.at("HLBUFD_PID"), "100");
}

TEST_F(AuditTest, WarnsOfASignalThatCouldNotBeSent) {
  Start();
  log.OnEvent({.kind = EventKind::kHolderSignalled,
               .domain = {.uid = 1000},
               .text = absl::StrCat(kNotSent, "SIGTERM: no")});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].level, LogLevel::kWarning);
}

TEST_F(AuditTest, WarnsOfAClientThatDidNotComeBack) {
  Start();
  log.OnEvent({.kind = EventKind::kSessionEnded, .text = "GOODBYE"});
  log.OnEvent({.kind = EventKind::kSessionEnded, .text = absl::StrCat(kNotBack, "1m")});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].level, LogLevel::kWarning);
}

TEST_F(AuditTest, SaysAtItsEndWhatWasLeftOut) {
  Start();
  for (int i = 0; i < 8; ++i) Violate(1);
  audit.reset();
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines.back().text, "PROTOCOL_BROKEN: 3 more before were not logged");
  Violate(2);
  EXPECT_EQ(lines.size(), 6u);
}

}  // namespace
}  // namespace hlbuf
