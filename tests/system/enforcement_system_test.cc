// SPDX-License-Identifier: Apache-2.0
// Memory that is asked back and not let go of, under the service's hardening: who has it is found
// by hl-bufd-holders, and ended where the administrator has chosen so.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "daemon/observe/message_ids.h"
#include "tests/support/texts.h"
#include "tests/system/installed_service.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;
constexpr int kHeld = 4;  // hl-bufctl's exit status

class Revocation : public InstalledService {
 protected:
  static Finished Revoke(const HeldBuffer& buffer, const std::string& grace) {
    return Ctl({"revoke", absl::StrFormat("%x", buffer.id), "--grace", grace});
  }
  // What was logged under this id, once there is anything.
  std::string Explained(absl::string_view message_id) const {
    std::string lines;
    EXPECT_TRUE(Eventually([&] {
      lines = Journal({absl::StrCat("MESSAGE_ID=", message_id)});
      return !lines.empty();
    })) << message_id;
    return lines;
  }
};

TEST_F(Revocation, NamesWhoHoldsABufferWithoutALease) {
  LibraryClient alice = Alice();
  const HeldBuffer made = alice.Allocate(kBytes);
  ClientProcess stranger({.uid = 64'003});
  stranger.Take(alice.process().Give(made.fd).get());
  const Finished revoked = Revoke(made, "2s");
  EXPECT_EQ(revoked.exit_status, kHeld) << revoked.output;
  EXPECT_TRUE(Contains(Explained(kHoldersNamed), absl::StrCat("pid ", stranger.pid())));
}

TEST_F(Revocation, EndsWhoDoesNotLetGoWithTheDropInForIt) {
  std::ifstream shipped("/usr/local/share/doc/hlbuf/drop-ins/enforcement.conf");
  std::stringstream lines;
  lines << shipped.rdbuf();
  DropIn(lines.str());
  Configure("[enforcement]\nrevocations = \"kill\"\n");
  LibraryClient alice = Alice();
  const Finished revoked = Revoke(alice.Allocate(kBytes), "5s");
  EXPECT_EQ(alice.process().DiedOf(), SIGTERM);
  EXPECT_EQ(revoked.exit_status, 0) << revoked.output;
  EXPECT_TRUE(Contains(Explained(kSignalSent), "SIGTERM sent"));
  EXPECT_EQ(StatusField("CapEff"), "0000000000000020") << "CAP_KILL, and no other";
}

TEST_F(Revocation, SaysThatItMaySignalNobodyWithoutTheDropIn) {
  Configure("[enforcement]\nrevocations = \"terminate\"\n");
  LibraryClient alice = Alice();
  EXPECT_TRUE(IsLogged("[enforcement] is on, and this service has no CAP_KILL"));
  EXPECT_EQ(Revoke(alice.Allocate(kBytes), "2s").exit_status, kHeld);
  EXPECT_TRUE(Contains(Explained(kSignalSent), "could not send SIGTERM"));
}

}  // namespace
}  // namespace hlbuf
