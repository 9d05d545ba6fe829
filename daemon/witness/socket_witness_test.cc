// SPDX-License-Identifier: Apache-2.0
// The daemon's end of a question, against a program that says what a test tells it.
#include "daemon/witness/socket_witness.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "absl/strings/match.h"
#include "daemon/holders/answer.h"
#include "daemon/holders/holders_wire.h"
#include "tests/support/child.h"
#include "tests/support/fake_clock.h"
#include "tests/support/forked.h"
#include "tests/support/loop_thread.h"

namespace hlbuf {
namespace {

constexpr const char* kScan = "hl-bufd-holders 1\nscan 5 0 0 0 1 1 0\n";
constexpr const char* kFound =
    "file dmabuf 17 3 udmabuf\nprocess 4711 1 1000 5 1 0 python3\n"
    "end\n";

// The program's end of one connection.
class Program {
 public:
  explicit Program(UniqueFd socket) : socket_(std::move(socket)) {}
  std::string Question() const {
    std::string text;
    char chunk[65'536];
    while (!absl::EndsWith(text, "end\n")) {
      const ssize_t n = ::read(socket_.get(), chunk, sizeof(chunk));
      if (n <= 0) return text;
      text.append(chunk, static_cast<std::size_t>(n));
    }
    return text;
  }
  void Say(const std::string& text) const {
    EXPECT_EQ(::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  void End() { socket_.Reset(); }
  int socket() const { return socket_.get(); }

 private:
  UniqueFd socket_;
};

class Witnessed : public testing::Test {
 protected:
  Witnessed() {
    witness_ = std::make_unique<SocketWitness>(path_, loop_.loop(), clock_);
    loop_.Start();
  }
  ~Witnessed() override {
    loop_.OnLoop([this] { witness_.reset(); });
  }
  void Listen() {
    sockaddr_un address = {.sun_family = AF_UNIX};
    path_.copy(address.sun_path, path_.size());
    listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(::listen(listener_.get(), 8), 0);
  }
  Program Accept() {
    pollfd p = {.fd = listener_.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&p, 1, kPatienceMs), 1) << "nobody asks";
    return Program(UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
  }
  // False: nobody can be asked.
  bool Ask(std::vector<BufferFile> files = {{.inode = 17}}) {
    bool asked = false;
    loop_.OnLoop([&] {
      asked = witness_->Ask(std::move(files), [this](const absl::StatusOr<Testimony>& testimony) {
        answers_.push_back(testimony);
      });
    });
    return asked;
  }
  // The answers so far, when there are so many.
  std::vector<absl::StatusOr<Testimony>> Answers(std::size_t count) {
    EXPECT_TRUE(loop_.Until([&] { return answers_.size() >= count; }));
    std::vector<absl::StatusOr<Testimony>> answers;
    loop_.OnLoop([&] { answers = answers_; });
    return answers;
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.path() + "/holders.sock";
  UniqueFd listener_;
  FakeClock clock_;
  LoopThread loop_;
  std::unique_ptr<SocketWitness> witness_;
  std::vector<absl::StatusOr<Testimony>> answers_;
};

TEST_F(Witnessed, TellsWhatTheProgramAnswers) {
  Listen();
  ASSERT_TRUE(Ask({{.inode = 17}, {.inode = 18, .dmabuf = false}}));
  Program program = Accept();
  EXPECT_EQ(program.Question(), "hl-bufd-holders 1\ndmabuf 17\nmemfd 18\nend\n");
  program.Say(kScan);
  program.Say(kFound);
  program.End();
  const auto answers = Answers(1);
  ASSERT_TRUE(answers[0].ok()) << answers[0].status();
  EXPECT_EQ(answers[0]->files.at({.inode = 17}).holders.at(0).pid, 4711);
  EXPECT_FALSE(answers[0]->same_pids) << "it says another pid namespace";
}

TEST_F(Witnessed, CannotAskWhereNobodyListens) {
  EXPECT_FALSE(Ask()) << "no socket";
  Listen();
  listener_.Reset();
  EXPECT_FALSE(Ask()) << "a socket that was left behind";
  EXPECT_TRUE(answers_.empty());
}

TEST_F(Witnessed, AsksAgainWhenSomebodyListensLater) {
  EXPECT_FALSE(Ask());
  Listen();
  EXPECT_TRUE(Ask());
  Accept();
  EXPECT_FALSE(Answers(1)[0].ok());
}

TEST_F(Witnessed, IsNotFooledByHalfAnAnswer) {
  Listen();
  for (const std::string& said : {std::string(), std::string(kScan), std::string("no"),
                                  kScan + std::string(kFound) + "more\n"}) {
    const std::size_t before = answers_.size();
    ASSERT_TRUE(Ask());
    Program program = Accept();
    program.Question();
    program.Say(said);
    program.End();
    EXPECT_FALSE(Answers(before + 1).back().ok()) << said;
  }
}

// Each question has all processes looked at.
TEST_F(Witnessed, AsksTogetherWhatIsAskedMeanwhile) {
  Listen();
  ASSERT_TRUE(Ask({{.inode = 17}}));
  ASSERT_TRUE(Ask({{.inode = 18}, {.inode = 19}}));
  ASSERT_TRUE(Ask({{.inode = 18}}));
  Program first = Accept();
  first.Question();
  first.Say(std::string(kScan) + kFound);
  first.End();
  Program second = Accept();
  EXPECT_EQ(second.Question(), "hl-bufd-holders 1\ndmabuf 18\ndmabuf 19\nend\n");
  second.Say(std::string(kScan) + kFound);
  second.End();
  EXPECT_EQ(Answers(3).size(), 3u);
}

TEST_F(Witnessed, AnswersWhoWaitedWhenNobodyListensAnyMore) {
  Listen();
  ASSERT_TRUE(Ask());
  ASSERT_TRUE(Ask());
  Program first = Accept();
  listener_.Reset();
  first.End();
  const auto answers = Answers(2);
  EXPECT_FALSE(answers[0].ok());
  EXPECT_FALSE(answers[1].ok());
}

TEST_F(Witnessed, LetsAFewQuestionsWait) {
  Listen();
  ASSERT_TRUE(Ask());
  for (std::size_t i = 0; i < SocketWitness::kWaitingMax; ++i) EXPECT_TRUE(Ask());
  EXPECT_FALSE(Ask());
}

TEST_F(Witnessed, GivesUpOnAProgramThatDoesNotAnswer) {
  Listen();
  ASSERT_TRUE(Ask());
  const Program silent = Accept();
  loop_.OnLoop([&] {
    EXPECT_EQ(witness_->NextDeadline(), clock_.Now() + SocketWitness::kPatience);
    witness_->RunDeadlines();
    EXPECT_TRUE(answers_.empty());
    clock_.Advance(SocketWitness::kPatience);
    witness_->RunDeadlines();
    EXPECT_EQ(witness_->NextDeadline(), absl::InfiniteFuture());
  });
  EXPECT_TRUE(absl::IsDeadlineExceeded(Answers(1)[0].status()));
}

TEST_F(Witnessed, GivesUpOnAProgramThatNeverStopsTalking) {
  Listen();
  ASSERT_TRUE(Ask());
  Program program = Accept();
  program.Question();
  const std::string noise(1 << 20, 'x');
  // Until the daemon has closed its end.
  while (::send(program.socket(), noise.data(), noise.size(), MSG_NOSIGNAL) > 0) {
  }
  EXPECT_FALSE(Answers(1)[0].ok());
}

TEST_F(Witnessed, AsksOfNoMoreFilesThanAQuestionTakes) {
  Listen();
  std::vector<BufferFile> files;
  for (ino_t i = 1; i <= HLBUF_HOLDERS_FILES_MAX + 10; ++i)
    files.push_back({.inode = UINT64_MAX - i});
  ASSERT_TRUE(Ask(files));
  const auto asked = ParseQuestion(Accept().Question());
  ASSERT_TRUE(asked.has_value());
  EXPECT_EQ(asked->size(), std::size_t{HLBUF_HOLDERS_FILES_MAX});
}

TEST_F(Witnessed, BelievesRootAndItselfOnly) {
  if (::geteuid() != 0) GTEST_SKIP() << "another user listens: needs root";
  Gate listening;
  Gate never;
  const Forked stranger([&] {
    ASSERT_EQ(::chmod(directory_.path().c_str(), 0777), 0);
    ASSERT_EQ(::setresuid(64'000, 64'000, 64'000), 0);
    Listen();
    listening.Open();
    never.Pass();
  });
  ASSERT_TRUE(listening.Pass());
  EXPECT_FALSE(Ask());
}

}  // namespace
}  // namespace hlbuf
