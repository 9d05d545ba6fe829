// SPDX-License-Identifier: Apache-2.0
// What systemd starts for the service, a process for each connection: keepers, and the one-shot
// that tells who holds a buffer.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "daemon/keeper/keeper_wire.h"
#include "tests/support/texts.h"
#include "tests/system/installed_service.h"

namespace hlbuf {
namespace {

UniqueFd Connect(const std::string& path, int type) {
  UniqueFd socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const timeval patience = {.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0)
      << path;
  return socket;
}

class KeeperUnit : public InstalledService {
 protected:
  // A keeper, and the service's end of its connection.
  static UniqueFd Begin() { return Connect("/run/hl-bufd/keeper/keeper.sock", SOCK_SEQPACKET); }
  static bool Answers(int channel) {
    const hlbuf_keeper_message question = {
        .version = HLBUF_KEEPER_VERSION, .verb = HLBUF_KEEPER_COUNT, .cookie = 7};
    hlbuf_keeper_message answer = {};
    return ::send(channel, &question, sizeof(question), MSG_NOSIGNAL) == sizeof(question) &&
           ::recv(channel, &answer, sizeof(answer), 0) == sizeof(answer) &&
           answer.verb == HLBUF_KEEPER_COUNTED && answer.cookie == 7;
  }
  // The errno.
  static int Open(int channel, const std::string& path) {
    struct {
      hlbuf_keeper_message message;
      char path[32];
    } question = {.message = {.version = HLBUF_KEEPER_VERSION,
                              .verb = HLBUF_KEEPER_OPEN,
                              .items = static_cast<std::uint32_t>(path.size())},
                  .path = {}};
    path.copy(question.path, sizeof(question.path));
    hlbuf_keeper_message answer = {};
    const std::size_t bytes = sizeof(question.message) + path.size();
    EXPECT_EQ(::send(channel, &question, bytes, MSG_NOSIGNAL), static_cast<ssize_t>(bytes));
    EXPECT_EQ(::recv(channel, &answer, sizeof(answer), 0), ssize_t{sizeof(answer)});
    return answer.error;
  }
  static std::string Running() {
    return Systemctl({"list-units", "--plain", "--no-legend", "--state=running",
                      "hl-bufd-keeper@*.service"})
        .output;
  }
  // Those in whatever state.
  static std::string All() {
    return Systemctl({"list-units", "--plain", "--no-legend", "--all", "hl-bufd-keeper@*.service"})
        .output;
  }
  static bool NoneIsLeft() {
    return Eventually([] { return All().empty(); });
  }
};

TEST_F(KeeperUnit, IsStartedForEachConnectionAndEndsWithIt) {
  UniqueFd first = Begin();
  const UniqueFd second = Begin();
  EXPECT_TRUE(Answers(first.get()));
  EXPECT_TRUE(Answers(second.get()));
  const std::string both = Running();
  EXPECT_EQ(std::count(both.begin(), both.end(), '\n'), 2) << both;
  first.Reset();
  EXPECT_TRUE(Eventually([] {
    const std::string left = Running();
    return std::count(left.begin(), left.end(), '\n') == 1;
  }));
  EXPECT_TRUE(Answers(second.get()));
}

TEST_F(KeeperUnit, RunsAsTheServiceDoesWithoutCapabilities) {
  const UniqueFd channel = Begin();
  ASSERT_TRUE(Answers(channel.get()));
  const std::string unit = Running().substr(0, Running().find(' '));
  EXPECT_EQ(Show(unit, "User"), "hl-bufd");
  const std::string status = ReadAll(absl::StrCat("/proc/", Show(unit, "MainPID"), "/status"));
  EXPECT_TRUE(Contains(status, "CapEff:\t0000000000000000"));
  EXPECT_TRUE(Contains(status, "Seccomp:\t2"));
}

TEST_F(KeeperUnit, OpensCharacterDevicesAndNothingElse) {
  const UniqueFd channel = Begin();
  EXPECT_EQ(Open(channel.get(), "/dev/zero"), 0);
  EXPECT_NE(Open(channel.get(), "/etc/passwd"), 0);
}

TEST_F(KeeperUnit, OutlivesTheServiceThatAskedForIt) {
  Must({"start", kService});
  const UniqueFd channel = Begin();
  ASSERT_TRUE(Answers(channel.get()));
  Must({"restart", kService});
  EXPECT_TRUE(Answers(channel.get()));
  Must({"kill", "--signal=KILL", kService});
  EXPECT_TRUE(Answers(channel.get()));
}

TEST_F(KeeperUnit, IsStoppedWithTheTarget) {
  Must({"start", kTarget});
  const UniqueFd channel = Begin();
  ASSERT_TRUE(Answers(channel.get()));
  Must({"stop", kTarget});
  EXPECT_TRUE(NoneIsLeft()) << All();
  EXPECT_FALSE(Answers(channel.get()));
}

TEST_F(KeeperUnit, LeavesNothingBehindWhenItIsKilled) {
  const UniqueFd channel = Begin();
  ASSERT_TRUE(Answers(channel.get()));
  Must({"kill", "--signal=KILL", "hl-bufd-keeper@*.service"});
  EXPECT_TRUE(NoneIsLeft()) << All();
}

class HoldersUnit : public InstalledService {
 protected:
  // One question, and what came until the end of the connection.
  static std::string Ask(const std::string& question) {
    const UniqueFd socket = Connect("/run/hl-bufd/holders/holders.sock", SOCK_STREAM);
    EXPECT_EQ(::send(socket.get(), question.data(), question.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(question.size()));
    std::string answer;
    char piece[4096];
    for (ssize_t n = 1; n > 0;) {
      n = ::recv(socket.get(), piece, sizeof(piece), 0);
      if (n > 0) answer.append(piece, static_cast<std::size_t>(n));
    }
    return answer;
  }
};

TEST_F(HoldersUnit, SeesWhatProcessesOfOtherUsersHold) {
  const UniqueFd memory(::memfd_create("held", MFD_CLOEXEC));
  struct stat file = {};
  ASSERT_EQ(::fstat(memory.get(), &file), 0);
  ClientProcess alice(Member(64'001));
  alice.Take(memory.get());
  const std::string answer = Ask(absl::StrCat("hl-bufd-holders 1\nmemfd ", file.st_ino, "\nend\n"));
  EXPECT_TRUE(Contains(answer, absl::StrCat("\nprocess ", ::getpid(), " "))) << "root's";
  EXPECT_TRUE(Contains(answer, absl::StrCat("\nprocess ", alice.pid(), " "))) << "a client's";
  EXPECT_TRUE(Eventually([] {
    return Systemctl({"list-units", "--plain", "--no-legend", "--all", "hl-bufd-holders@*.service"})
        .output.empty();
  })) << "it ends with its answer, and leaves nothing behind";
}

TEST_F(HoldersUnit, TakesTheServiceForNoStrangerThoughSystemdMadeItsSocketListen) {
  LibraryClient alice = Alice();
  const HeldBuffer made = alice.Allocate(64 << 10);
  const Finished lessee = Ctl({"holders", "software0"});
  EXPECT_TRUE(Contains(lessee.output, absl::StrCat("pid ", alice.process().pid())));
  EXPECT_FALSE(Contains(lessee.output, "NONE")) << lessee.output;
  ClientProcess stranger({.uid = 64'003});
  stranger.Take(alice.process().Give(made.fd).get());
  const Finished both = Ctl({"holders", "software0"});
  EXPECT_EQ(both.exit_status, 4) << both.output;
  EXPECT_TRUE(Contains(both.output, absl::StrCat("pid ", stranger.pid())));
}

}  // namespace
}  // namespace hlbuf
