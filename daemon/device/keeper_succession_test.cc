// SPDX-License-Identifier: Apache-2.0
// Real keepers of a card that is not real: this process opens it, they keep the copies.
#include <algorithm>
#include <csignal>
#include <memory>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/device/fake_habanalabs.h"
#include "daemon/device/habanalabs_exporter.h"
#include "daemon/device/keeper_opener.h"
#include "tests/support/descriptors.h"
#include "tests/support/spawned_keeper.h"

namespace hlbuf {
namespace {

// A node of the fake machine can be opened in this process alone.
class OpenerHere final : public DeviceOpener {
 public:
  OpenerHere(Syscalls& syscalls, KeeperOpener& keepers) : direct_(syscalls), keepers_(keepers) {}
  absl::StatusOr<UniqueFd> Open(const std::string& path) override {
    keepers_.End();
    if (absl::Status begun = keepers_.Begin(); !begun.ok()) return begun;
    return direct_.Open(path);
  }
  absl::Status Keep(std::uint64_t id, int fd) override { return keepers_.Keep(id, fd); }
  absl::Status Drop(absl::Span<const std::uint64_t> ids) override { return keepers_.Drop(ids); }
  bool Died() const override { return keepers_.Died(); }
  int death_fd() const override { return keepers_.death_fd(); }
  std::string End() override { return keepers_.End(); }
  absl::Status Begin() override { return keepers_.Begin(); }

 private:
  DirectOpener direct_;
  KeeperOpener& keepers_;
};

class KeeperSuccession : public SpawnedKeeperTest {
 protected:
  KeeperSuccession() {
    const absl::Status opened = exporter_.Open();
    EXPECT_TRUE(opened.ok()) << opened;
  }
  pid_t pid() const { return keepers_.keeper()->pid(); }
  // How many dma-bufs the keeper has, once it has read what it was told.
  std::size_t Kept() {
    EXPECT_TRUE(keepers_.Drop({12345}).ok());
    const auto open = DescriptorsOf(pid());
    return static_cast<std::size_t>(std::count_if(open.begin(), open.end(), [](const auto& entry) {
      return absl::StrContains(entry.second, "memfd:");
    }));
  }
  Allocation Export() {
    auto made = exporter_.Export({.size_bytes = FakeHabanalabsCard::kPage});
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *std::move(made) : Allocation();
  }
  std::optional<Alarm> AfterKill() {
    EXPECT_EQ(::kill(pid(), SIGKILL), 0);
    EXPECT_NE(Comes(exporter_.alarm_fd(), POLLIN), 0);
    return exporter_.CheckAlarm();
  }

  FakeHabanalabs machine_;
  FakeHabanalabsCard& card_ = machine_.Add();
  SpawnedKeepers spawned_ = SpawnedKeepers(Program());
  KeeperOpener keepers_ = KeeperOpener("gaudi0", spawned_);
  HabanalabsExporter exporter_ =
      HabanalabsExporter({.name = "gaudi0"}, machine_,
                         std::make_unique<OpenerHere>(machine_, keepers_), machine_.roots());
};

TEST_F(KeeperSuccession, FollowsAStrayKillAtOnce) {
  const Allocation first = Export();
  const Allocation second = Export();
  const pid_t killed = pid();
  const std::size_t kept = Kept();
  const auto alarm = AfterKill();
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(alarm->kind, Alarm::Kind::kOpenerLost);
  EXPECT_TRUE(
      absl::StrContains(alarm->text, absl::StrCat("process ", killed, " killed by SIGKILL")))
      << alarm->text;
  ASSERT_NE(pid(), killed);
  EXPECT_EQ(Kept(), kept + 1) << "this one got the card, too, which this process opened";
  exporter_.DropCopies({first.fd.get()});
  EXPECT_EQ(Kept(), kept);
}

TEST_F(KeeperSuccession, DoesNotFollowTheDriversKill) {
  card_.status = hl::kInReset;
  const pid_t killed = pid();
  const auto alarm = AfterKill();
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(alarm->kind, Alarm::Kind::kReset);
  EXPECT_EQ(pid(), killed);
}

TEST_F(KeeperSuccession, GoesOnWhenTheKeeperDiesWhileItIsTold) {
  const Allocation before = Export();
  ASSERT_EQ(::kill(pid(), SIGKILL), 0);
  const Allocation meanwhile = Export();
  ASSERT_NE(Comes(exporter_.alarm_fd(), POLLIN), 0);
  EXPECT_EQ(exporter_.CheckAlarm()->kind, Alarm::Kind::kOpenerLost);
  EXPECT_EQ(Kept(), 3u) << "the card and both buffers";
}

TEST_F(KeeperSuccession, EndsWithTheCard) {
  AfterKill();
  const pid_t successor = pid();
  EXPECT_TRUE(exporter_.Reset(Drill::kNone).ok());
  EXPECT_NE(::kill(successor, 0), 0) << "it is reaped";
  ASSERT_TRUE(exporter_.Open().ok());
  EXPECT_FALSE(exporter_.CheckAlarm().has_value());
}

}  // namespace
}  // namespace hlbuf
