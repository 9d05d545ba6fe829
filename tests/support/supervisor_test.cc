// SPDX-License-Identifier: Apache-2.0
#include "tests/support/supervisor.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/support/raw_client.h"

namespace hlbuf {
namespace {

using Names = std::vector<std::string>;

class SupervisorTest : public testing::Test {
 protected:
  Supervisor& Supervise(const Names& steps, std::size_t stored_max = 8, bool restarts = false) {
    SupervisedService service = {.program = {.arguments = {BuiltPath("tests/support/told_service")},
                                             .output = directory_.path() + "/output"},
                                 .notify_path = directory_.path() + "/notify",
                                 .stored_max = stored_max,
                                 .restarts = restarts};
    for (const std::string& step : steps) service.program.arguments.push_back(step);
    supervisor_ = std::make_unique<Supervisor>(std::move(service));
    return *supervisor_;
  }
  Supervisor& Started(const Names& steps, std::size_t stored_max = 8) {
    Supervise(steps, stored_max).Start();
    EXPECT_TRUE(supervisor_->BecomesReady());
    return *supervisor_;
  }
  std::string Output() const { return ReadAll(directory_.path() + "/output"); }

  TemporaryDirectory directory_;
  std::unique_ptr<Supervisor> supervisor_;
};

TEST_F(SupervisorTest, WaitsUntilTheServiceSaysThatItIsReady) {
  Supervisor& supervisor = Started({"say", "STATUS=well", "say", "READY=1"});
  EXPECT_EQ(supervisor.status(), "well");
  EXPECT_TRUE(supervisor.RunsFor(0));
  EXPECT_EQ(supervisor.lives(), 1);
}

TEST_F(SupervisorTest, TellsThatAServiceEndedWithoutBecomingReady) {
  Supervisor& supervisor = Supervise({"exit", "3"});
  supervisor.Start();
  EXPECT_FALSE(supervisor.BecomesReady());
  ASSERT_TRUE(supervisor.HasEnded(1));
  EXPECT_EQ(WEXITSTATUS(supervisor.Ends()[0]), 3);
}

TEST_F(SupervisorTest, PassesWhatWasStoredToTheNextProcessTheNewestFirst) {
  Supervisor& supervisor =
      Started({"show", "memfd", "one", "uno", "memfd", "two", "due", "say", "READY=1"});
  EXPECT_EQ(supervisor.StoredNames(), (Names{"two", "one"}));
  supervisor.Kill();
  EXPECT_TRUE(WIFSIGNALED(supervisor.Ends()[0]));
  supervisor.Start();
  ASSERT_TRUE(supervisor.BecomesReady());
  EXPECT_EQ(Output(), "two=due\none=uno\n");
}

TEST_F(SupervisorTest, PassesListeningSocketsFirst) {
  const std::string path = directory_.path() + "/socket";
  SupervisedService service = {
      .program = {.arguments = {BuiltPath("tests/support/told_service"), "show", "memfd", "one",
                                "uno", "say", "READY=1"},
                  .output = directory_.path() + "/output"},
      .notify_path = directory_.path() + "/notify",
      .stored_max = 1};
  service.sockets.emplace_back("clients",
                               ListeningUnixSocket(path, SOCK_SEQPACKET, 0600, ::getegid()));
  Supervisor supervisor(std::move(service));
  supervisor.Start();
  ASSERT_TRUE(supervisor.BecomesReady());
  supervisor.Kill();
  supervisor.Start();
  ASSERT_TRUE(supervisor.BecomesReady());
  EXPECT_EQ(Output(), "clients=\nclients=\none=uno\n");
}

TEST_F(SupervisorTest, CountsWhatAProcessSentBeforeItDied) {
  Supervisor& supervisor = Supervise({"memfd", "last", "words", "exit", "0"});
  supervisor.Start();
  ASSERT_TRUE(supervisor.HasEnded(1));
  EXPECT_EQ(supervisor.StoredNames(), Names{"last"});
}

TEST_F(SupervisorTest, RemovesByName) {
  Supervisor& supervisor = Started({"memfd", "one", "1", "memfd", "two", "2", "memfd", "one", "3",
                                    "remove", "one", "say", "READY=1"});
  EXPECT_EQ(supervisor.StoredNames(), Names{"two"});
}

TEST_F(SupervisorTest, AnswersABarrierWhenEverythingBeforeItIsDone) {
  Supervisor& supervisor = Started({"memfd", "one", "1", "barrier", "say", "READY=1"});
  EXPECT_EQ(supervisor.StoredNames(), Names{"one"});
}

TEST_F(SupervisorTest, DropsInSilenceWhatIsBeyondTheLimit) {
  Supervisor& supervisor =
      Started({"memfd", "one", "1", "memfd", "two", "2", "barrier", "say", "READY=1"}, 1);
  EXPECT_EQ(supervisor.StoredNames(), Names{"one"});
}

TEST_F(SupervisorTest, KeepsAFileThatItHasUnderItsOldName) {
  Supervisor& supervisor = Started({"memfd", "one", "1", "again", "two", "say", "READY=1"});
  EXPECT_EQ(supervisor.StoredNames(), Names{"one"});
}

TEST_F(SupervisorTest, DropsWhatHangsUpUnlessItIsNotToBePolled) {
  Supervisor& supervisor = Started({"pipe", "watched", "1", "pipe", "kept", "0", "say", "READY=1"});
  EXPECT_TRUE(Eventually([&] { return supervisor.StoredNames() == Names{"kept"}; }));
}

TEST_F(SupervisorTest, StartsAServiceThatDiedAgain) {
  Supervisor& supervisor = Supervise({"say", "READY=1"}, 8, /* restarts= */ true);
  supervisor.Start();
  ASSERT_TRUE(supervisor.BecomesReady());
  const pid_t first = supervisor.pid();
  supervisor.Kill();
  ASSERT_TRUE(supervisor.BecomesReady(2));
  EXPECT_NE(supervisor.pid(), first);
  EXPECT_EQ(supervisor.lives(), 2);
}

TEST_F(SupervisorTest, StartsAProcessForEachConnectionWhichOutlivesTheService) {
  const std::string path = directory_.path() + "/socket";
  const std::string program = BuiltPath("tests/support/told_service");
  Supervisor supervisor({.program = {.arguments = {program, "say", "READY=1"}},
                         .notify_path = directory_.path() + "/notify",
                         .listening = ListeningUnixSocket(path, SOCK_SEQPACKET, 0600, ::getegid()),
                         .accepted = {.arguments = {program}}});
  supervisor.Start();
  ASSERT_TRUE(supervisor.BecomesReady());
  const RawClient one = RawClient::Connect(path);
  const RawClient other = RawClient::Connect(path);
  EXPECT_TRUE(Eventually([&] { return supervisor.AcceptedPids().size() == 2; }));
  supervisor.Kill();
  EXPECT_EQ(supervisor.AcceptedPids().size(), 2U);
}

TEST_F(SupervisorTest, GivesAnEnvironmentToOneLifeAlone) {
  Supervisor& supervisor = Supervise({"say", "READY=1"}, 8, /* restarts= */ true);
  supervisor.SetEnvironmentOfNext({"ONCE=yes"});
  supervisor.Start();
  ASSERT_TRUE(supervisor.BecomesReady());
  const auto environment = [&] {
    return ReadAll("/proc/" + std::to_string(supervisor.pid()) + "/environ");
  };
  EXPECT_NE(environment().find("ONCE=yes"), std::string::npos);
  supervisor.Kill();
  ASSERT_TRUE(supervisor.BecomesReady(2));
  EXPECT_EQ(environment().find("ONCE=yes"), std::string::npos);
}

TEST_F(SupervisorTest, ClosesWhatIsStoredWhenTheServiceIsStopped) {
  Supervisor& supervisor = Started({"memfd", "one", "1", "say", "READY=1"});
  EXPECT_EQ(supervisor.Stop(), -1) << "it does not catch SIGTERM";
  EXPECT_EQ(supervisor.StoredNames(), Names{});
}

}  // namespace
}  // namespace hlbuf
