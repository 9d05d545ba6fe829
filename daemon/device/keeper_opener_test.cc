// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/keeper_opener.h"

#include <unistd.h>

#include <csignal>

#include "tests/support/descriptors.h"
#include "tests/support/spawned_keeper.h"

namespace hlbuf {
namespace {

class KeeperOpenerTest : public SpawnedKeeperTest {
 protected:
  KeeperOpener opener_ = KeeperOpener(Program());
};

TEST_F(KeeperOpenerTest, OpensByAProcessThatIsNotThisOne) {
  const absl::StatusOr<UniqueFd> fd = opener_.Open("/dev/zero");
  ASSERT_TRUE(fd.ok()) << fd.status();
  EXPECT_NE(opener_.keeper()->pid(), ::getpid());
}

TEST_F(KeeperOpenerTest, KeepsACopyUntilItIsDropped) {
  ASSERT_TRUE(opener_.Open("/dev/zero").ok());
  ASSERT_TRUE(opener_.Keep(7, Memfd("kept").get()).ok());
  EXPECT_TRUE(opener_.Drop({7}).ok());
  EXPECT_EQ(CountMemfds(opener_.keeper()->pid(), "kept"), 0u);
}

TEST_F(KeeperOpenerTest, EndsTheKeeperWithTheDevice) {
  ASSERT_TRUE(opener_.Open("/dev/zero").ok());
  const pid_t pid = opener_.keeper()->pid();
  EXPECT_TRUE(opener_.Drop({DeviceOpener::kDevice}).ok());
  EXPECT_EQ(opener_.keeper(), nullptr);
  EXPECT_NE(::kill(pid, 0), 0) << "it is reaped";
}

TEST_F(KeeperOpenerTest, HasNoKeeperOfADeviceThatCannotBeOpened) {
  EXPECT_FALSE(opener_.Open("/dev/no-such-device").ok());
  EXPECT_EQ(opener_.keeper(), nullptr);
}

// As the driver does, and as a stray kill does.
TEST_F(KeeperOpenerTest, GoesOnWhenItsKeeperIsKilledAndOpensByANewOne) {
  ASSERT_TRUE(opener_.Open("/dev/zero").ok());
  const pid_t first = opener_.keeper()->pid();
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  EXPECT_NE(Comes(opener_.keeper()->pidfd(), POLLIN), 0);
  EXPECT_TRUE(opener_.Keep(7, Memfd("kept").get()).ok());
  EXPECT_TRUE(opener_.Drop({7}).ok());
  ASSERT_TRUE(opener_.Open("/dev/zero").ok());
  EXPECT_NE(opener_.keeper()->pid(), first);
}

}  // namespace
}  // namespace hlbuf
