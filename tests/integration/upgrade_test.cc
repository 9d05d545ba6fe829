// SPDX-License-Identifier: Apache-2.0
// A service that finds the journal of an older version. What it cannot read at all: status_test.cc,
// and tests/system/restart_system_test.cc under systemd.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "daemon/persist/journal_layout.h"
#include "hlbuf/v1/status.pb.h"
#include "tests/support/ctl_test.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

// As if it had been written since this machine was booted.
std::string OfThisBoot(std::string bytes) {
  const std::string id = absl::HexStringToBytes(
      absl::StrReplaceAll(ReadAll("/proc/sys/kernel/random/boot_id"), {{"-", ""}, {"\n", ""}}));
  journal::Header header = {};
  std::memcpy(&header, bytes.data(), sizeof(header));
  std::copy(id.begin(), id.end(), header.boot_id.begin());
  header.hash = HashOf(header);
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

// The device of the samples, beside the one that serves.
constexpr const char* kConfig =
    "[[device]]\nname = \"fake0\"\nkind = \"software\"\nsize = \"64MiB\"\n";

class Upgrade : public CtlTest {
 protected:
  // The next life of the service finds this, and no keeper.
  void ComeAfter(const std::string& journal) {
    daemon().Signal(SIGSTOP);
    std::ofstream(daemon().state_directory() + "/journal", std::ios::binary) << journal;
    daemon().Crash();
  }
  // In the next life, which has what this one made of the journal.
  void ComeWithLittlePatience() {
    std::ofstream(daemon().config_path(), std::ios::app) << "[timing]\nreattach_grace = \"1s\"\n";
    daemon().Crash();
  }
  v1::ServiceStatus Seen() { return Json<v1::ServiceStatus>({"status"}, kAny); }
};

// What the samples have: daemon/persist/journal_reader_test.cc. Of who is away nobody ever comes.
TEST_F(Upgrade, TakesUpWhatEachVersionWroteAndSaysWhatIsLost) {
  const std::string samples = std::getenv("HLBUF_SOURCE_DIR");
  std::size_t versions = 0;
  for (const auto& sample :
       std::filesystem::directory_iterator(samples + "/daemon/persist/testdata")) {
    SCOPED_TRACE(sample.path());
    ++versions;
    Start({.config = kConfig, .supervised = true});
    ComeAfter(OfThisBoot(ReadAll(sample.path())));
    const v1::ServiceStatus status = Seen();
    EXPECT_EQ(status.away().session_count(), 2u) << status.DebugString();
    EXPECT_EQ(status.away().lease_count(), 2u);
    EXPECT_EQ(status.buffer_count(), 1u);
    ASSERT_EQ(status.losses_size(), 1) << status.DebugString();
    EXPECT_EQ(status.losses(0).kind(), v1::EVENT_KIND_HANDLES_LOST);
    EXPECT_EQ(status.losses(0).count(), 1u);
    EXPECT_TRUE(Contains(Run({"buffers"}).output, "weights"));

    ComeWithLittlePatience();
    EXPECT_TRUE(Eventually([this] { return Seen().buffer_count() == 0; })) << Seen().DebugString();
    EXPECT_EQ(Seen().lease_count(), 0u);
    EXPECT_TRUE(Seen().state().troubles().empty());
    LibraryClient alice = Client(Alice());
    alice.UseDevice("fake0");
    alice.Release(alice.Allocate(kBytes, "weights"));
  }
  EXPECT_GT(versions, 0u);
}

}  // namespace
}  // namespace hlbuf
