// SPDX-License-Identifier: Apache-2.0
// The examples as they are run by hand, against a fake daemon.
#include <sys/mman.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>

#include "client/src/fake_daemon.h"

namespace hlbuf::testing {
namespace {

struct Ended {
  int status = -1;
  std::string output;
};

// Runs a shell command line in which PRODUCER and CONSUMER stand for the programs.
Ended RunShell(std::string command) {
  const std::string programs = std::string(std::getenv("HLBUF_BUILD_DIR")) + "/client/hlbuf-";
  for (const std::string name : {"PRODUCER", "CONSUMER"}) {
    const std::size_t at = command.find(name);
    if (at == std::string::npos) continue;
    command.replace(at, name.size(), programs + (name == "PRODUCER" ? "producer" : "consumer"));
  }
  Ended ended;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "re");
  char line[256];
  while (std::fgets(line, sizeof(line), pipe) != nullptr) ended.output += line;
  const int status = ::pclose(pipe);
  ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ended;
}

void GiveMemory(Conversation& talk, const Request& allocate, int memory) {
  talk.Send(MakeFrame(HLBUF_WIRE_ALLOCATED, allocate.cookie(),
                      hlbuf_wire_allocated{
                          .buffer_id = 0xabc, .lease_id = 1, .size_bytes = 4096, .epoch = 1}),
            {memory});
}

TEST(Examples, TheProducerWritesSharesAndQuits) {
  const UniqueFd memory = SomeMemory();
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    const Request allocate = talk.Expect(HLBUF_WIRE_ALLOCATE);
    EXPECT_EQ(allocate.trailing(), "greeting");
    GiveMemory(talk, allocate, memory.get());
    const Request share = talk.Expect(HLBUF_WIRE_SHARE);
    EXPECT_EQ(share.As<hlbuf_wire_share>().buffer_id, 0xabcU);
    EXPECT_EQ(share.As<hlbuf_wire_share>().grantee, 7U);
    talk.Send(MakeFrame(HLBUF_WIRE_SHARED, share.cookie(), hlbuf_wire_header{}));
    talk.Refuse(talk.Expect(HLBUF_WIRE_UNSHARE), HLBUF_WIRE_GONE, "it is gone");
    talk.Expect(HLBUF_WIRE_RELEASE);
    talk.ExpectEnd();
  });
  const Ended ended =
      RunShell("printf 'share uid 7\\nunshare gid 8\\nwhat?\\nquit\\n' | PRODUCER --socket " +
               daemon.path() + " --name greeting 'good morning'");
  EXPECT_EQ(ended.status, 0);
  EXPECT_EQ(ended.output,
            "buffer abc\nshared with uid 7\nGONE: it is gone\nnot understood: what?\n");
  char text[32] = {};
  EXPECT_GT(::pread(memory.get(), text, sizeof(text) - 1, 0), 0);
  EXPECT_STREQ(text, "good morning");
}

TEST(Examples, TheProducerOutlivesTheService) {
  FakeDaemon daemon([&](Conversation& talk) {
    talk.GreetForGood();
    GiveMemory(talk, talk.Expect(HLBUF_WIRE_ALLOCATE), SomeMemory().get());
    talk.Expect(HLBUF_WIRE_SHARE);
    talk.HangUp();
    Conversation next = talk.Next();
    EXPECT_EQ(next.TakeBack().leases, std::vector<std::uint64_t>{1});
    next.Send(
        MakeFrame(HLBUF_WIRE_SHARED, next.Expect(HLBUF_WIRE_SHARE).cookie(), hlbuf_wire_header{}));
    next.Expect(HLBUF_WIRE_RELEASE);
    next.ExpectEnd();
  });
  const Ended ended = RunShell("printf 'share uid 7\\nquit\\n' | PRODUCER --socket " +
                               daemon.path() + " --name greeting 'good morning'");
  EXPECT_EQ(ended.status, 0);
  EXPECT_EQ(ended.output, "buffer abc\nshared with uid 7\n");
}

TEST(Examples, TheConsumerOutlivesTheService) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.GreetForGood();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    talk.HangUp();
    Conversation next = talk.Next();
    EXPECT_EQ(next.TakeBack().leases, std::vector<std::uint64_t>{1});
    next.Revoke({1});
    EXPECT_EQ(next.Expect(HLBUF_WIRE_RELEASE).leases(), std::vector<std::uint64_t>{1});
    next.ExpectEnd();
  });
  const Ended ended = RunShell("CONSUMER --socket " + daemon.path() + " --name n");
  EXPECT_EQ(ended.status, 0) << ended.output;
  EXPECT_NE(ended.output.find("OPERATOR"), std::string::npos) << ended.output;
}

TEST(Examples, TheProducerObeysARevocation) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    GiveMemory(talk, talk.Expect(HLBUF_WIRE_ALLOCATE), SomeMemory().get());
    talk.Revoke({1});
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), std::vector<std::uint64_t>{1});
    talk.ExpectEnd();
  });
  // Its input stays open as long as it runs.
  const Ended ended = RunShell("mkfifo " + daemon.path() + ".in && PRODUCER --socket " +
                               daemon.path() + " --name n text <>" + daemon.path() +
                               ".in; status=$?; rm " + daemon.path() + ".in; exit $status");
  EXPECT_EQ(ended.status, 0);
  EXPECT_EQ(ended.output, "buffer abc\nrevoked: buffer abc, OPERATOR, 0 ms left\n");
}

TEST(Examples, TheConsumerPrintsAndLetsGo) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    talk.Revoke({1}, HLBUF_WIRE_REVOKE_RESET);
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), std::vector<std::uint64_t>{1});
    talk.ExpectEnd();
  });
  const Ended ended = RunShell("CONSUMER --socket " + daemon.path() + " --name n --owner 5");
  EXPECT_EQ(ended.status, 0);
  EXPECT_EQ(ended.output, "\nrevoked: buffer 3e9, RESET, 0 ms left\n");
}

TEST(Examples, TheConsumerSaysWhyItFailed) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Refuse(talk.Expect(HLBUF_WIRE_OPEN), HLBUF_WIRE_NOT_FOUND, "there is no buffer 1f");
    talk.ExpectEnd();
  });
  const Ended ended = RunShell("CONSUMER --socket " + daemon.path() + " --id 1f");
  EXPECT_EQ(ended.status, 1);
  EXPECT_EQ(ended.output, "NOT_FOUND: there is no buffer 1f\n");
}

TEST(Examples, ADeadServiceIsAFailure) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    talk.HangUp();
  });
  const Ended ended = RunShell("CONSUMER --socket " + daemon.path() + " --id 1");
  EXPECT_EQ(ended.status, 1);
  EXPECT_NE(ended.output.find("SERVICE_GONE: "), std::string::npos) << ended.output;
}

TEST(Examples, SayHowTheyAreUsed) {
  for (const char* program : {"PRODUCER", "CONSUMER"}) {
    const Ended help = RunShell(std::string(program) + " --help");
    EXPECT_EQ(help.status, 0);
    EXPECT_EQ(help.output.substr(0, 7), "usage: ");
    EXPECT_EQ(RunShell(program).status, 2);
  }
}

}  // namespace
}  // namespace hlbuf::testing
