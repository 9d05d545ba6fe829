// SPDX-License-Identifier: Apache-2.0
#include "tests/soak/soak.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "absl/strings/str_cat.h"
#include "tests/support/client_process.h"
#include "tests/support/control_client.h"
#include "tests/support/raw_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

// Python reads some 100,000 lines in a second, where the processor is not emulated.
constexpr int kJudgingMs = 300'000;
// A client counts a grant a moment before it notes when it came.
constexpr std::uint64_t kUnnoted = kSoakClientsMax;
constexpr int kCensusEvery = 5;  // kills and resets

std::string WritableByAll(const std::string& path) {
  EXPECT_EQ(::chmod(path.c_str(), 0777), 0);
  return path;
}

// The one of this test, where it stays.
std::string KeptPath() {
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  return BuiltPath(absl::StrCat("soak-", test->test_suite_name(), ".", test->name()));
}

std::int64_t CountAway(ControlClient& control) {
  std::int64_t count = 0;
  for (const User& user : {Alice(), Bob()}) {
    const std::vector<SessionSeen> sessions = control.SessionsOf(*user.uid);
    count += std::count_if(sessions.begin(), sessions.end(),
                           [](const SessionSeen& session) { return session.state == "AWAY"; });
  }
  return count;
}

}  // namespace

Soak::Soak(SoakedService& service, std::size_t clients)
    : service_(service),
      record_(WritableByAll(directory_.path()) + "/driver.jsonl"),
      descriptors_(service.CountDescriptors()),
      clients_(std::make_unique<SoakClients>(
          SoakClients::Options{.count = clients,
                               .client_socket = service.client_socket(),
                               .gid = service.clients_gid(),
                               .importer = service.importer(),
                               .directory = directory_.path()})) {}

bool Soak::Run(int kills, int resets) {
  while (kills_ < kills || resets_ < resets) {
    if (!Work(kGrantsBetweenKills + kUnnoted)) return false;
    // They are spread over the kills, and every other one is killed over.
    const bool resets_now = resets_ * kills <= kills_ * resets && resets_ < resets;
    const bool kills_now = kills_ < kills;
    const bool kills_meanwhile = resets_now && kills_now && resets_ % 2 == 0;
    if (resets_now && !Reset(kills_meanwhile ? [this] { Kill(); } : std::function<void()>()))
      return false;
    if (kills_now && !kills_meanwhile) {
      if (resets_now && !Work(kGrantsBetweenKills + kUnnoted)) return false;
      Kill();
    }
    if ((kills_ + resets_) % kCensusEvery == 0 && !TakeCensus()) return false;
  }
  return TakeCensus();
}

bool Soak::Work(std::uint64_t grants, const std::function<bool()>& over) {
  const bool worked = clients_->Work(grants, over);
  EXPECT_TRUE(worked) << "the clients get nothing any more\n" << clients_->Failures();
  return worked;
}

void Soak::Kill() {
  const std::uint64_t began = MonotonicNs();
  service_.Kill();
  RecordEnd(began);
}

void Soak::RecordEnd(std::uint64_t began) {
  ++kills_;
  record_.Write(Line("kill").Add("began", began).Add("ended", MonotonicNs()));
}

void Soak::Revoke() {
  const std::uint64_t buffer = clients_->Offered(), began = MonotonicNs();
  if (buffer == 0) return;
  service_.Revoke(buffer);
  record_.Write(
      Line("revocation").Add("began", began).Add("ended", MonotonicNs()).Add("buffer", buffer));
}

// Of a buffer that nobody has.
void Soak::AskInVain() const {
  RawClient client = RawClient::Connect(service_.client_socket());
  if (client && client.Send(HelloFrame()) == 0 && client.ReceiveAnswer().has_value())
    static_cast<void>(
        client.Ask(ShareFrame(2, HLBUF_WIRE_SHARE, /* buffer= */ 1, HLBUF_WIRE_GRANTEE_UID, 1)));
}

bool Soak::Reset(const std::function<void()>& meanwhile) {
  const std::uint64_t began = MonotonicNs(), told = revoked();
  DeviceNow before;
  EXPECT_TRUE(Eventually([&] { return (before = Device()).is_there; }));
  const std::uint64_t epoch = before.epoch;
  service_.BeginReset();
  if (meanwhile != nullptr) {
    EXPECT_TRUE(Eventually([&] { return revoked() > told || Device().epoch > epoch; }));
    meanwhile();
  }
  // One that was killed before it was written down never was; it is asked for again.
  DeviceNow now;
  const bool is_back = Eventually(
      [&] {
        now = Device();
        if (now.is_ready && now.epoch == epoch) service_.RepeatReset();
        return now.is_ready && now.epoch > epoch;
      },
      service_.ResetPatienceMs());
  EXPECT_TRUE(is_back) << "the device did not come back from a reset";
  ++resets_;
  record_.Write(
      Line("reset").Add("began", began).Add("ended", MonotonicNs()).Add("epoch", now.epoch));
  return is_back;
}

void Soak::AwaitOwnReset(std::uint64_t began, std::uint64_t epoch) {
  DeviceNow now;
  EXPECT_TRUE(Eventually([&] { return (now = Device()).is_ready && now.epoch > epoch; }));
  record_.Write(
      Line("reset").Add("began", began).Add("ended", MonotonicNs()).Add("epoch", now.epoch));
}

bool Soak::TakeCensus() {
  if (!clients_->Tell(SoakCommand::kPause)) {
    ADD_FAILURE() << "not all clients pause\n" << clients_->Failures();
    return false;
  }
  ControlClient control(service_.control_socket());
  // Of a client that is away the service shows what it had, not what it has.
  EXPECT_TRUE(Eventually([&] { return CountAway(control) == 0; }))
      << CountAway(control) << " clients have not come back";
  // A notice or a release may be on its way.
  std::vector<std::uint64_t> leases;
  static_cast<void>(Eventually([&] {
    leases.clear();
    bool is_asking_back = false;
    for (const LeaseSeen& lease : control.LeasesAndStates()) {
      leases.push_back(lease.id);
      is_asking_back |= lease.state != "ACTIVE";
    }
    return !is_asking_back && leases.size() == clients_->Held();
  }));
  record_.Write(Line("census").Add("at", MonotonicNs()).AddList("leases", leases));
  Tell("");
  return clients_->Tell(SoakCommand::kRun);
}

void Soak::End() {
  EXPECT_TRUE(clients_->Tell(SoakCommand::kRest)) << clients_->Failures();
  EXPECT_TRUE(Eventually([&] { return Device().used_bytes == 0; }))
      << Device().used_bytes << " bytes are in use, and nobody holds a lease";
  EXPECT_TRUE(clients_->End()) << clients_->Failures();
  std::map<std::string, std::uint64_t> now;
  // A later life has fewer: none for processes that an earlier one began.
  static_cast<void>(Eventually([&] {
    now = service_.CountDescriptors();
    return std::all_of(descriptors_.begin(), descriptors_.end(),
                       [&](const auto& then) { return now[then.first] <= then.second; });
  }));
  for (const auto& [of, before] : descriptors_)
    record_.Write(Line("descriptors").Add("of", of).Add("before", before).Add("after", now[of]));
  record_.Flush();
  Tell(" in all");
}

std::map<std::string, int> Soak::Judge(std::uint64_t grants_between_kills) {
  const std::string output = directory_.path() + "/verdict";
  const std::string program =
      absl::StrCat(std::getenv("HLBUF_SOURCE_DIR"), "/tests/soak/history_check.py");
  Child judge({.arguments = {"/usr/bin/python3", "-B", program, "--grants",
                             absl::StrCat(grants_between_kills), directory_.path()},
               .output = output});
  const std::optional<int> status = judge.Wait(kJudgingMs);
  const std::string said = ReadAll(output);
  std::printf("%s", said.c_str());
  EXPECT_EQ(status, 0) << said;
  std::map<std::string, int> counts;
  for (const char* key : {"operations", "grants", "reads", "revoked", "kills", "resets", "censuses",
                          "lost", "mixed", "stale", "double", "errors", "leaks"})
    counts[key] = static_cast<int>(NumberAfter(absl::StrCat("\"", key, "\": "), said));
  if (testing::Test::HasFailure()) {
    std::error_code ignored;
    std::filesystem::remove_all(KeptPath(), ignored);
    std::filesystem::copy(directory_.path(), KeptPath(), ignored);
    std::printf("the records are in %s\n", KeptPath().c_str());
  }
  return counts;
}

// Nothing of what the service says, when it dies meanwhile.
Soak::DeviceNow Soak::Device() const {
  RawClient client = RawClient::Connect(service_.client_socket());
  if (!client || client.Send(HelloFrame()) != 0 || !client.ReceiveAnswer().has_value()) return {};
  const std::optional<Packet> list = client.Ask(DevicesFrame(2));
  if (!list.has_value() || list->As<hlbuf_wire_device_list>().item_count == 0) return {};
  const auto device = list->ItemAt<hlbuf_wire_device_item>(0);
  return {.is_there = true,
          .is_ready = device.state == HLBUF_WIRE_DEVICE_READY,
          .epoch = device.epoch,
          .used_bytes = device.used_bytes};
}

void Soak::Tell(const std::string& what) const {
  std::printf("progress: %d kills, %d resets, %lu grants, %lu revoked%s\n", kills_, resets_,
              clients_->Grants(), clients_->Revoked(), what.c_str());
  std::fflush(stdout);
}

}  // namespace hlbuf
