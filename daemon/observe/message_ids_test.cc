// SPDX-License-Identifier: Apache-2.0
#include "daemon/observe/message_ids.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "daemon/observe/audit.h"
#include "tests/support/fake_clock.h"

namespace hlbuf {
namespace {

// The ids that systemd/hl-bufd.catalog explains, each with the text of its entry.
std::map<std::string, std::string> Catalog() {
  const char* const source = std::getenv("HLBUF_SOURCE_DIR");
  std::ifstream file(std::string(source != nullptr ? source : ".") + "/systemd/hl-bufd.catalog");
  std::map<std::string, std::string> entries;
  std::string id;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("-- ", 0) == 0)
      EXPECT_TRUE(entries.emplace(id = line.substr(3), "").second) << id << " is there twice";
    else if (!id.empty())
      entries[id] += line + "\n";
  }
  return entries;
}

TEST(MessageIds, AreAllInTheCatalogAndNoOthersAre) {
  std::set<std::string> explained;
  for (const auto& [id, text] : Catalog()) explained.insert(id);
  std::set<std::string> used;
  for (const absl::string_view id : kMessageIds) used.emplace(id);
  EXPECT_EQ(used.size(), kMessageIds.size());
  EXPECT_EQ(explained, used);
}

TEST(MessageIds, AreExplainedWithASubjectAndWhatToDo) {
  for (const auto& [id, text] : Catalog()) {
    EXPECT_EQ(id.size(), 32u);
    EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos) << id;
    EXPECT_EQ(text.rfind("Subject: ", 0), 0u) << text;
    EXPECT_NE(text.find("\nDefined-By: hl-bufd\n\n"), std::string::npos) << text;
    EXPECT_NE(text.find('`'), std::string::npos) << "no command that helps: " << text;
  }
}

class AuditMessageIds : public testing::Test {
 protected:
  // The id of the line that an event gives.
  std::string IdOf(const Event& event) {
    log.OnEvent(event);
    return id;
  }

  FakeClock clock;
  EventLog log{1};
  std::string id;
  Audit audit{log, clock, LogLevel::kDebug,
              [this](LogLevel, absl::string_view, absl::Span<const LogField> fields) {
                id.clear();
                for (const LogField& field : fields)
                  if (field.name == "MESSAGE_ID") id = field.value;
              }};
};

TEST_F(AuditMessageIds, SayWhatADeviceGoesThrough) {
  const auto in = [](DeviceState state) {
    return Event{.kind = EventKind::kDeviceState, .device = "d", .state = state};
  };
  EXPECT_EQ(IdOf(in(DeviceState::kRevoking)), kResetBegan);
  EXPECT_EQ(IdOf(in(DeviceState::kClosing)), "");
  EXPECT_EQ(IdOf(in(DeviceState::kReady)), kDeviceReady);
  EXPECT_EQ(IdOf(in(DeviceState::kDrained)), kDeviceDrained);
  EXPECT_EQ(IdOf(in(DeviceState::kFailed)), kDeviceFailed);
}

TEST_F(AuditMessageIds, SayWhoIsInTheWayOfAReset) {
  EXPECT_EQ(IdOf({.kind = EventKind::kHoldersFound}), kHoldersNamed);
  EXPECT_EQ(IdOf({.kind = EventKind::kHolderSignalled}), kSignalSent);
  EXPECT_EQ(IdOf({.kind = EventKind::kOpenerLost}), kOpenerDied);
}

TEST_F(AuditMessageIds, SayWhatWasLostAndWhatWouldBe) {
  EXPECT_EQ(IdOf({.kind = EventKind::kStateLost}), kStateSetAside);
  for (const EventKind kind :
       {EventKind::kBuffersLost, EventKind::kLeasesLost, EventKind::kHandlesLost})
    EXPECT_EQ(IdOf({.kind = kind}), kDidNotComeBack);
  EXPECT_EQ(IdOf({.kind = EventKind::kJournalFailed}), kJournalBroken);
  EXPECT_EQ(IdOf({.kind = EventKind::kStateUnkept}), kNotStored);
  for (const EventKind kind : {EventKind::kKeeperLost, EventKind::kStateUnkept})
    EXPECT_EQ(IdOf({.kind = kind, .device = "d"}), kCopiesLost);
}

TEST_F(AuditMessageIds, SayThatABufferIsHeldAndNothingOfOneThatCameBack) {
  const auto verdict = [](Verdict::Kind kind) {
    return Event{
        .kind = EventKind::kBufferVerdict, .buffer = BufferId{1}, .verdict = Verdict{.kind = kind}};
  };
  EXPECT_EQ(IdOf(verdict(Verdict::Kind::kHeld)), kBufferHeld);
  EXPECT_EQ(IdOf(verdict(Verdict::Kind::kProven)), "");
}

}  // namespace
}  // namespace hlbuf
