// SPDX-License-Identifier: Apache-2.0
// The real program, spoken to in bytes.
#include "daemon/keeper/keeper_server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/support/child.h"
#include "tests/support/descriptors.h"

namespace hlbuf {
namespace {

class KeeperServerTest : public testing::Test {
 protected:
  void Start(const std::vector<std::string>& options = {}, std::optional<rlimit> nofile = {}) {
    std::vector<std::string> arguments = {BuiltPath("daemon/hl-bufd-keeper")};
    arguments.insert(arguments.end(), options.begin(), options.end());
    Run(std::move(arguments), nofile);
  }
  void Run(std::vector<std::string> arguments, std::optional<rlimit> nofile = {}) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    ours_ = UniqueFd(ends[0]);
    const UniqueFd theirs(ends[1]);
    keeper_.emplace(
        Program{.arguments = std::move(arguments), .channel = theirs.get(), .nofile = nofile});
  }

  absl::Status Send(hlbuf_keeper_message message, const std::string& following = "",
                    const std::vector<int>& fds = {}) {
    std::vector<std::byte> packet(sizeof(message) + following.size());
    std::memcpy(packet.data(), &message, sizeof(message));
    std::memcpy(packet.data() + sizeof(message), following.data(), following.size());
    return SendPacket(ours_.get(), packet, fds);
  }
  hlbuf_keeper_message Receive() {
    hlbuf_keeper_message message = {};
    pollfd p = {.fd = ours_.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&p, 1, kPatienceMs), 1) << "no answer";
    EXPECT_TRUE(ReceivePacket(ours_.get(), packet_).ok());
    EXPECT_GE(packet_.bytes().size(), sizeof(message));
    std::memcpy(&message, packet_.bytes().data(), sizeof(message));
    ids_.resize(message.items);
    const std::size_t ids_bytes = packet_.bytes().size() - sizeof(message);
    EXPECT_EQ(ids_bytes, ids_.size() * sizeof(ids_[0]));
    if (ids_bytes > 0)
      std::memcpy(ids_.data(), packet_.bytes().data() + sizeof(message), ids_bytes);
    return message;
  }
  hlbuf_keeper_message Ask(hlbuf_keeper_message message, const std::string& following = "") {
    message.cookie = ++cookie_;
    EXPECT_TRUE(Send(message, following).ok());
    const hlbuf_keeper_message answer = Receive();
    EXPECT_EQ(answer.cookie, message.cookie);
    EXPECT_EQ(answer.version, static_cast<std::uint32_t>(HLBUF_KEEPER_VERSION));
    return answer;
  }
  hlbuf_keeper_message Open(const std::string& path) {
    hlbuf_keeper_message open = Message(HLBUF_KEEPER_OPEN);
    open.items = static_cast<std::uint32_t>(path.size());
    return Ask(open, path);
  }
  static hlbuf_keeper_message Message(std::uint32_t verb, std::uint64_t id = 0) {
    return {.version = HLBUF_KEEPER_VERSION, .verb = verb, .id = id};
  }

  std::string File() const {
    const std::string path = directory_.path() + "/file";
    std::ofstream file(path);
    return path;
  }

  TemporaryDirectory directory_;
  UniqueFd ours_;
  std::optional<Child> keeper_;
  PacketBuffer packet_;
  std::vector<std::uint64_t> ids_;  // of the last answer
  std::uint64_t cookie_ = 0;
};

TEST_F(KeeperServerTest, HasNothingOpenButItsConnectionAndNothingAtAllThatWasInherited) {
  Run({"/bin/sh", "-c", "exec \"$0\" 9</dev/zero", BuiltPath("daemon/hl-bufd-keeper")});
  EXPECT_EQ(Ask(Message(HLBUF_KEEPER_COUNT)).kept, 0u);
  const std::map<int, std::string> open = DescriptorsOf(keeper_->pid());
  ASSERT_EQ(open.size(), 4u);
  for (const int fd : {0, 1, 2}) EXPECT_EQ(open.at(fd), "/dev/null");
  EXPECT_TRUE(open.at(HLBUF_KEEPER_CHANNEL).starts_with("socket:"));
}

TEST_F(KeeperServerTest, IsFoundByItsName) {
  Start();
  Ask(Message(HLBUF_KEEPER_COUNT));
  EXPECT_EQ(ReadAll("/proc/" + std::to_string(keeper_->pid()) + "/comm"), "hl-keeper\n");
}

TEST_F(KeeperServerTest, HasAllTheRoomThatItsHardLimitGives) {
  Start({}, rlimit{.rlim_cur = 32, .rlim_max = 64});
  EXPECT_EQ(Ask(Message(HLBUF_KEEPER_COUNT)).room, 64u - 6);
}

TEST_F(KeeperServerTest, OpensACharacterDeviceAndKeepsACopyOfWhatItSends) {
  Start();
  const hlbuf_keeper_message answer = Open("/dev/zero");
  EXPECT_EQ(answer.verb, static_cast<std::uint32_t>(HLBUF_KEEPER_OPENED));
  EXPECT_EQ(answer.error, 0);
  EXPECT_EQ(answer.kept, 1u);
  ASSERT_EQ(packet_.fds().size(), 1u);
  char byte = 1;
  EXPECT_EQ(::read(packet_.fds().front().get(), &byte, 1), 1);
  EXPECT_EQ(byte, 0);
}

TEST_F(KeeperServerTest, SaysByErrnoWhyItOpensNothing) {
  Start();
  EXPECT_EQ(Open("dev/zero").error, EINVAL);
  EXPECT_EQ(Open("/dev/../dev/zero").error, EINVAL);
  EXPECT_EQ(Open("/dev/no-such-device").error, ENOENT);
  EXPECT_EQ(Open(File()).error, ENOTTY);
  hlbuf_keeper_message flagged = Message(HLBUF_KEEPER_OPEN);
  flagged.flags = 1;
  EXPECT_EQ(Ask(flagged).error, EINVAL);
  EXPECT_EQ(Ask(Message(HLBUF_KEEPER_COUNT)).kept, 0u);
}

TEST_F(KeeperServerTest, OpensAnyFileWhenItWasToldSoAtItsStart) {
  Start({"--any"});
  EXPECT_EQ(Open(File()).error, 0);
}

TEST_F(KeeperServerTest, RefusesVerbsAndVersionsOfALaterTimeAndGoesOn) {
  Start();
  const UniqueFd memfd = Memfd("unknown");
  ASSERT_TRUE(Send(Message(77), "whatever", {memfd.get()}).ok());
  const hlbuf_keeper_message unknown = Receive();
  EXPECT_EQ(unknown.verb, static_cast<std::uint32_t>(HLBUF_KEEPER_REFUSED));
  EXPECT_EQ(unknown.error, EOPNOTSUPP);
  EXPECT_EQ(CountMemfds(keeper_->pid(), "unknown"), 0u);
  hlbuf_keeper_message later = Message(HLBUF_KEEPER_DROP_ALL);
  later.version = HLBUF_KEEPER_VERSION + 1;
  EXPECT_EQ(Ask(later).error, EPROTONOSUPPORT);
  EXPECT_EQ(Ask(Message(HLBUF_KEEPER_COUNT)).verb,
            static_cast<std::uint32_t>(HLBUF_KEEPER_COUNTED));
}

TEST_F(KeeperServerTest, EndsWithItsConnection) {
  Start();
  Ask(Message(HLBUF_KEEPER_COUNT));
  ours_.Reset();
  EXPECT_EQ(keeper_->ExitStatus(), HLBUF_KEEPER_EXIT_CONNECTION_ENDED);
}

TEST_F(KeeperServerTest, EndsWithItsConnectionThoughItsAnswersWereNeverRead) {
  Start();
  // More than a queue of answers takes: the keeper waits for room, or has ended with the rest.
  for (int i = 0; i < 1000; ++i)
    if (!Send(Message(HLBUF_KEEPER_COUNT)).ok()) break;
  ours_.Reset();
  EXPECT_EQ(keeper_->ExitStatus(), HLBUF_KEEPER_EXIT_CONNECTION_ENDED);
}

TEST_F(KeeperServerTest, EndsAtAMalformedMessage) {
  Start();
  ASSERT_TRUE(SendPacket(ours_.get(), {}).ok());
  EXPECT_EQ(keeper_->ExitStatus(), HLBUF_KEEPER_EXIT_MALFORMED);
}

TEST_F(KeeperServerTest, EndsAtADescriptorWhereNoneBelongs) {
  Start();
  const UniqueFd memfd = Memfd("uncalled-for");
  ASSERT_TRUE(Send(Message(HLBUF_KEEPER_COUNT), "", {memfd.get()}).ok());
  EXPECT_EQ(keeper_->ExitStatus(), HLBUF_KEEPER_EXIT_MALFORMED);
}

TEST_F(KeeperServerTest, EndsAtAPacketLongerThanAnyMessage) {
  Start();
  const std::vector<std::byte> packet(HLBUF_WIRE_FRAME_BYTES_MAX + 1);
  ASSERT_TRUE(SendPacket(ours_.get(), packet).ok());
  EXPECT_EQ(keeper_->ExitStatus(), HLBUF_KEEPER_EXIT_CUT_SHORT);
}

TEST_F(KeeperServerTest, EndsWhenADescriptorWasLostForWantOfAFreeOne) {
  Start({}, rlimit{.rlim_cur = 8, .rlim_max = 8});
  const UniqueFd memfd = Memfd("many");
  for (std::uint64_t id = 1; id <= 5; ++id)
    static_cast<void>(Send(Message(HLBUF_KEEPER_KEEP, id), "", {memfd.get()}));
  EXPECT_EQ(keeper_->ExitStatus(), HLBUF_KEEPER_EXIT_CUT_SHORT);
}

TEST_F(KeeperServerTest, StopsOpeningBeforeItHasNoFreeDescriptor) {
  Start({}, rlimit{.rlim_cur = 9, .rlim_max = 9});
  hlbuf_keeper_message answer = Open("/dev/zero");
  EXPECT_EQ(answer.room, 2u);
  while (answer.error == 0) answer = Open("/dev/zero");
  EXPECT_EQ(answer.error, EMFILE);
  EXPECT_EQ(answer.kept, 3u);
}

TEST_F(KeeperServerTest, SurvivesWhatIsSentToAWholeGroup) {
  Start();
  Ask(Message(HLBUF_KEEPER_COUNT));
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) keeper_->Signal(signal);
  EXPECT_EQ(Ask(Message(HLBUF_KEEPER_COUNT)).error, 0);
}

TEST_F(KeeperServerTest, KeepsSeveralDescriptorsOfOneIdAndDropsThemTogether) {
  Start();
  const UniqueFd memfd = Memfd("twice");
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(Send(Message(HLBUF_KEEPER_KEEP, 5), "", {memfd.get()}).ok());
  EXPECT_EQ(Ask(Message(HLBUF_KEEPER_COUNT)).kept, 2u);
  EXPECT_EQ(CountMemfds(keeper_->pid(), "twice"), 2u);
  hlbuf_keeper_message drop = Message(HLBUF_KEEPER_DROP);
  drop.items = 1;
  const std::uint64_t id = 5;
  EXPECT_EQ(Ask(drop, std::string(reinterpret_cast<const char*>(&id), sizeof(id))).kept, 0u);
  EXPECT_EQ(CountMemfds(keeper_->pid(), "twice"), 0u);
}

TEST_F(KeeperServerTest, GivesDuplicatesOfWhatItKeepsWithTheirIdsAndGoesOnToKeepIt) {
  Start();
  const UniqueFd memfd = Memfd("fetched");
  for (const std::uint64_t id : {5, 5, 6})
    ASSERT_TRUE(Send(Message(HLBUF_KEEPER_KEEP, id), "", {memfd.get()}).ok());
  ASSERT_EQ(Open("/dev/zero").error, 0);
  const hlbuf_keeper_message answer = Ask(Message(HLBUF_KEEPER_FETCH));
  EXPECT_EQ(answer.verb, static_cast<std::uint32_t>(HLBUF_KEEPER_FETCHED));
  EXPECT_EQ(answer.kept, 4u);
  ASSERT_EQ(packet_.fds().size(), 4u);
  for (std::size_t i = 0; i < ids_.size(); ++i) {
    const std::string link = "/proc/self/fd/" + std::to_string(packet_.fds()[i].get());
    EXPECT_EQ(std::filesystem::read_symlink(link),
              ids_[i] == HLBUF_KEEPER_DEVICE_ID ? "/dev/zero" : "/memfd:fetched (deleted)");
  }
  std::sort(ids_.begin(), ids_.end());
  EXPECT_EQ(ids_, (std::vector<std::uint64_t>{HLBUF_KEEPER_DEVICE_ID, 5, 5, 6}));
  EXPECT_EQ(Ask(Message(HLBUF_KEEPER_FETCH, 4)).items, 0u) << "all were passed over";
  EXPECT_EQ(Ask(Message(HLBUF_KEEPER_FETCH, ~std::uint64_t{0})).items, 0u);
  EXPECT_EQ(Ask(Message(HLBUF_KEEPER_COUNT)).kept, 4u);
}

TEST_F(KeeperServerTest, GivesEverythingOnceInAsManyMessagesAsThatTakes) {
  Start();
  constexpr std::uint64_t kMany = 2 * HLBUF_KEEPER_FETCH_MAX + 7;
  for (std::uint64_t id = 1; id <= kMany; ++id) {
    ASSERT_TRUE(Send(Message(HLBUF_KEEPER_KEEP, id), "", {STDERR_FILENO}).ok());
    if (id % 100 == 0) Ask(Message(HLBUF_KEEPER_COUNT));  // its queue is short
  }
  std::set<std::uint64_t> all;
  std::vector<std::size_t> sizes;
  do {
    Ask(Message(HLBUF_KEEPER_FETCH, all.size()));
    EXPECT_EQ(packet_.fds().size(), ids_.size());
    all.insert(ids_.begin(), ids_.end());
    sizes.push_back(ids_.size());
  } while (!ids_.empty());
  EXPECT_EQ(all.size(), kMany);
  EXPECT_EQ(*all.rbegin(), kMany);
  EXPECT_EQ(sizes,
            (std::vector<std::size_t>{HLBUF_KEEPER_FETCH_MAX, HLBUF_KEEPER_FETCH_MAX, 7, 0}));
}

TEST_F(KeeperServerTest, DropsWithoutAnAnswerWhereNoneIsWanted) {
  Start();
  const UniqueFd memfd = Memfd("quietly");
  ASSERT_TRUE(Send(Message(HLBUF_KEEPER_KEEP, 5), "", {memfd.get()}).ok());
  hlbuf_keeper_message drop = Message(HLBUF_KEEPER_DROP);
  drop.flags = HLBUF_KEEPER_UNANSWERED;
  drop.items = 1;
  const std::uint64_t id = 5;
  ASSERT_TRUE(Send(drop, std::string(reinterpret_cast<const char*>(&id), sizeof(id))).ok());
  EXPECT_EQ(Ask(Message(HLBUF_KEEPER_COUNT)).kept, 0u) << "and this is the first answer";
}

TEST(KeeperProgram, ExplainsItself) {
  const TemporaryDirectory directory;
  const auto run = [&](const std::string& argument) {
    return RunToEnd({.arguments = {BuiltPath("daemon/hl-bufd-keeper"), argument},
                     .output = directory.path() + "/output"});
  };
  const Finished help = run("--help");
  EXPECT_EQ(help.exit_status, 0);
  EXPECT_NE(help.output.find("driver kills"), std::string::npos) << help.output;
  EXPECT_EQ(run("--what").exit_status, HLBUF_KEEPER_EXIT_BAD_USAGE);
  EXPECT_EQ(run("--wait").exit_status, HLBUF_KEEPER_EXIT_BAD_USAGE);
}

TEST(KeeperProgram, WithoutAConnectionSaysSo) {
  const TemporaryDirectory directory;
  const Finished run = RunToEnd(
      {.arguments = {BuiltPath("daemon/hl-bufd-keeper")}, .output = directory.path() + "/output"});
  EXPECT_EQ(run.exit_status, HLBUF_KEEPER_EXIT_BAD_USAGE);
  EXPECT_NE(run.output.find("descriptor 3 is no connection"), std::string::npos) << run.output;
}

}  // namespace
}  // namespace hlbuf
