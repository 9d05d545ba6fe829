// SPDX-License-Identifier: Apache-2.0
#include "tests/system/kept_scene.h"

#include <csignal>
#include <set>

#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

constexpr uid_t kAlice = 64'001;
constexpr uid_t kBob = 64'002;

}  // namespace

void KeptScene::HoldABuffer() {
  Must({"start", kService});
  EXPECT_TRUE(Eventually([] { return bool{Contains(Show(kService, "StatusText"), "(READY)")}; }));
  alice_ = std::make_unique<LibraryClient>(Member(kAlice), kClientSocket);
  bob_ = std::make_unique<LibraryClient>(Member(kBob), kClientSocket);
  made_ = alice_->Allocate(kBytes, "weights");
  ASSERT_NE(made_.id, 0U);
  alice_->Write(made_, "before");
  alice_->Share(made_.id, "uid", kBob);
  opened_ = bob_->Open(made_.id);
}

// An idle client comes back when it looks for notices.
void KeptScene::ComeBack(LibraryClient& client, uid_t uid) {
  EXPECT_TRUE(Eventually([&] {
    client.process().Do("library-dispatch 0");
    for (const SessionSeen& session : Control().SessionsOf(uid))
      if (session.pid == client.process().pid()) return session.state == "READY";
    return false;
  })) << "user "
      << uid << " does not come back";
  client.process().Do("library-dispatch 200");  // reads that it is
}

void KeptScene::ComeBack() {
  ComeBack(*alice_, kAlice);
  ComeBack(*bob_, kBob);
}

void KeptScene::ExpectKept() {
  EXPECT_EQ(bob_->Read(opened_, 6), "before");
  const HeldBuffer again = bob_->Open(made_.id);
  ASSERT_EQ(again.epoch, made_.epoch);
  alice_->Write(made_, "behind");
  EXPECT_EQ(bob_->Read(again, 6), "behind");
  EXPECT_EQ(bob_->Read(opened_, 6), "behind");
  bob_->Release(again);
  alice_->Write(made_, "before");
  ComeBack();
  EXPECT_TRUE(Eventually([this] { return Control().Find(made_.id)->lease_count == 2; }));
  const std::vector<std::uint64_t> leases = Control().Leases();
  EXPECT_EQ(std::set(leases.begin(), leases.end()), (std::set{made_.lease, opened_.lease}));
  EXPECT_FALSE(IsAlarmed());
}

void KeptScene::ExpectOver(const std::string& reason) {
  EXPECT_TRUE(
      StartsWith(alice_->AwaitNotice("revoke "), absl::StrCat("revoke ", made_.id, " ", reason)));
  EXPECT_EQ(bob_->Read(opened_, 6), "before");
}

void KeptScene::ExpectEmptyAndHealthy() {
  EXPECT_TRUE(Eventually([] { return Control().Buffers().empty(); }))
      << Ctl({"buffers"}).output << Ctl({"sessions"}).output;
  LibraryClient anybody = Alice();
  const HeldBuffer next = anybody.Allocate(kBytes);
  EXPECT_EQ(anybody.Read(next, 6), std::string(6, '\0'));
}

void KeptScene::Crash() {
  const pid_t before = MainPid();
  ASSERT_EQ(::kill(before, SIGKILL), 0);
  EXPECT_TRUE(Eventually([before] {
    const pid_t now = MainPid();
    return now != before && now != 0 && Show(kService, "SubState") == "running";
  }));
}

}  // namespace hlbuf
