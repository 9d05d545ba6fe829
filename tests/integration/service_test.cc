// SPDX-License-Identifier: Apache-2.0
// The program itself: how it starts, refuses to, and stops.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

class Service : public DaemonTest {};

TEST_F(Service, SaysGoodbyeToEverySessionAndEndsWell) {
  Start();
  LibraryClient holder(Alice(), daemon().client_socket());
  holder.Allocate(kBytes);
  RawClient idle = Greeted();
  RawClient silent = RawClient::Connect(daemon().client_socket());
  EXPECT_EQ(daemon().Stop(), 0);
  EXPECT_TRUE(Contains(holder.AwaitNotice("goodbye "), "SHUTDOWN"));
  EXPECT_EQ(idle.DrainToEnd(), HLBUF_WIRE_GOODBYE);
  EXPECT_EQ(silent.DrainToEnd(), HLBUF_WIRE_GOODBYE);
}

TEST_F(Service, SaysGoodbyeBehindAGrantThatIsReadLate) {
  Start();
  RawClient late = Greeted();
  ASSERT_EQ(late.Send(AllocateFrame(2, kBytes)), 0);
  ASSERT_TRUE(late.Readable(RawClient::kDeadlineMs));
  RawClient prompt = Greeted();
  daemon().Signal(SIGTERM);
  EXPECT_EQ(prompt.DrainToEnd(), HLBUF_WIRE_GOODBYE);
  const std::optional<Packet> grant = late.Receive();
  ASSERT_TRUE(grant.has_value());
  EXPECT_EQ(grant->fds.size(), 1U);
  EXPECT_EQ(late.DrainToEnd(), HLBUF_WIRE_GOODBYE);
  EXPECT_EQ(daemon().Stop(), 0);
}

TEST_F(Service, LeavesNoSocketBehind) {
  Start();
  EXPECT_TRUE(std::filesystem::exists(daemon().client_socket()));
  EXPECT_TRUE(std::filesystem::exists(daemon().control_socket()));
  EXPECT_EQ(daemon().Stop(), 0);
  EXPECT_FALSE(std::filesystem::exists(daemon().client_socket()));
  EXPECT_FALSE(std::filesystem::exists(daemon().control_socket()));
}

TEST_F(Service, LeavesTheSocketOfItsSuccessorAlone) {
  Start();
  const std::string path = daemon().client_socket();
  // Another has taken its place.
  std::filesystem::rename(path, path + ".old");
  std::ofstream(path) << "not ours";
  EXPECT_EQ(daemon().Stop(), 0);
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(Program, LeavesNoSocketWhenItCannotStart) {
  const TemporaryDirectory directory;
  const std::string config = directory.path() + "/f.toml";
  const std::string client = directory.path() + "/client/buf.sock";
  // There is a file where the control socket should be.
  const std::string control = directory.path() + "/control.sock";
  std::ofstream(control) << "precious";
  std::ofstream(config) << "[sockets]\nclient = \"" << client << "\"\ncontrol = \"" << control
                        << "\"\n[[device]]\nname = \"dev0\"\nkind = \"software\"\n";
  const mode_t before = ::umask(0077);
  const Finished finished = RunDaemonWith({"--config", config});
  ::umask(before);
  EXPECT_EQ(finished.exit_status, 1) << finished.output;
  EXPECT_TRUE(Contains(finished.output, "is no socket"));
  EXPECT_FALSE(std::filesystem::exists(client));
  // Clients of other users get as far as the socket, whatever the umask was.
  struct stat at = {};
  ASSERT_EQ(::stat((directory.path() + "/client").c_str(), &at), 0) << finished.output;
  EXPECT_EQ(at.st_mode & 07777, 0755U);
}

TEST_F(Service, LeavesMemoryToOthersWhoeverTakesAllThatHeMay) {
  Start();  // with 64 MiB
  LibraryClient greedy(Alice(), daemon().client_socket());
  LibraryClient other(Bob(), daemon().client_socket());
  greedy.Allocate(32 << 20);
  EXPECT_TRUE(StartsWith(greedy.RefusalToAllocate(4096), "QUOTA_EXCEEDED"));
  other.Allocate(32 << 20);
}

// As in production: none of this needs a capability. Nodes of other devices are root's here.
TEST_F(Service, ServesAsAUserOfItsOwn) {
  Start({.kind = "software", .uid = DaemonProcess::kServiceUid});
  LibraryClient owner(Alice(), daemon().client_socket());
  LibraryClient reader(Bob(), daemon().client_socket());
  const HeldBuffer made = owner.Allocate(kBytes);
  owner.Share(made.id, "uid", *Bob().uid);
  const HeldBuffer opened = reader.Open(made.id);
  EXPECT_EQ(opened.id, made.id);
  ControlClient control(daemon().control_socket());
  EXPECT_EQ(control.Find(made.id)->lease_count, 2U);
  reader.process().Exit();
  owner.process().Exit();
  daemon().ExpectNothingInUse();
}

TEST_F(Service, StopsThoughAClientIsStoppedWithAnUnreadGrant) {
  Start();
  ClientProcess process(Alice());
  SessionThere session = SessionThere::Greeted(process, daemon().client_socket());
  session.Send(AllocateFrame(2, kBytes));
  process.Signal(SIGSTOP);
  EXPECT_TRUE(Eventually([this] { return daemon().UsedBytes() == kBytes; }));
  EXPECT_EQ(daemon().Stop(), 0);
}

TEST_F(Service, RaisesItsSoftLimitOfDescriptorsAndSaysItsCaps) {
  Start({.nofile = std::nullopt, .soft_nofile = 200});
  std::istringstream limits(ReadAll(absl::StrCat("/proc/", daemon().pid(), "/limits")));
  std::string line;
  while (std::getline(limits, line) && line.rfind("Max open files", 0) != 0) continue;
  std::istringstream words(line.substr(sizeof("Max open files")));
  std::string soft, hard;
  words >> soft >> hard;
  EXPECT_EQ(soft, hard) << line;
  EXPECT_TRUE(Contains(daemon().Log(), absl::StrCat("with ", hard, " file descriptors")));
}

TEST_F(Service, OutlivesABrokenPipe) {
  Start();
  daemon().Signal(SIGPIPE);
  daemon().ExpectAnswersTheBystander();
}

TEST_F(Service, SaysWhetherItIsSimulated) {
  Use();
  const bool said = daemon().Log().find("there is only a software device") != std::string::npos;
  EXPECT_EQ(said, DeviceKind() == "software") << daemon().Log();
}

TEST_F(Service, HasNoDescriptorThatAnotherProgramWouldInherit) {
  Use();
  LibraryClient holder(Alice(), daemon().client_socket());
  holder.Allocate(kBytes);
  ControlClient control(daemon().control_socket());
  EXPECT_EQ(control.Buffers().size(), 1U);
  const std::string process = absl::StrCat("/proc/", daemon().pid());
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(process + "/fd")) {
    const std::string number = entry.path().filename();
    if (std::atol(number.c_str()) <= STDERR_FILENO) continue;
    const std::string text = ReadAll(process + "/fdinfo/" + number);
    const std::size_t flags = text.find("flags:");
    if (flags == std::string::npos) continue;  // closed meanwhile
    ++seen;
    EXPECT_NE(std::strtoul(text.c_str() + flags + sizeof("flags:"), nullptr, 8) & O_CLOEXEC, 0U)
        << number << " is " << std::filesystem::read_symlink(entry.path());
  }
  EXPECT_GT(seen, 8);
}

// What the limits are derived from, and what the end of each test compares.
TEST_F(Service, HasTwoDescriptorsForASessionAndOneForABuffer) {
  Use();
  const auto count = [this] {
    int all = 0;
    for (const auto& [link, times] : daemon().Descriptors()) all += times;
    return all;
  };
  const int before = count();
  RawClient client = Greeted();
  EXPECT_EQ(count(), before + 2);
  ASSERT_TRUE(client.Ask(AllocateFrame(2, kBytes)).has_value());
  EXPECT_EQ(count(), before + 3);
}

TEST_F(Service, DoesNotPushAsideAnotherThatListens) {
  Use();
  const Finished second = RunDaemonWith({"--config", daemon().config_path()});
  EXPECT_EQ(second.exit_status, 1) << second.output;
  EXPECT_TRUE(Contains(second.output, "another process listens at " + daemon().client_socket()));
}

TEST_F(Service, TakesTheSocketsOfADeadOne) {
  Start();
  const std::string config = daemon().config_path();
  daemon().Signal(SIGKILL);
  EXPECT_FALSE(daemon().RunsFor(kPatienceMs));
  EXPECT_EQ(daemon().Stop(), -1);
  daemon().Restart();
  EXPECT_TRUE(Greeted());
}

TEST(Program, ChecksAGoodConfiguration) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/good.toml";
  std::ofstream(path) << "[timing]\nhello_timeout = \"1s\"\n";
  const Finished finished = RunDaemonWith({"--check-config", "--config", path});
  EXPECT_EQ(finished.exit_status, 0) << finished.output;
  EXPECT_TRUE(StartsWith(finished.output, "The configuration is good.\nwith "));
  EXPECT_TRUE(Contains(finished.output, "\nfor one uid: "));
  EXPECT_TRUE(Contains(finished.output, "\nfor one domain: "));
}

TEST(Program, WarnsInItsCheckOfWhatItsStartWouldWarnOf) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/idle.toml";
  std::ofstream(path) << "[timing]\nreset_grace = \"0s\"\n[enforcement]\nresets = \"kill\"\n";
  const Finished finished = RunDaemonWith({"--check-config", "--config", path});
  EXPECT_EQ(finished.exit_status, 0) << finished.output;
  EXPECT_TRUE(
      Contains(finished.output, "\nwarning: [enforcement] resets is on, and reset_grace is"));
}

TEST(Program, SaysWhereAConfigurationIsWrong) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/bad.toml";
  std::ofstream(path) << "[timing]\nhello_timeout = \"soon\"\nhelo = 1\n";
  for (const bool check : {true, false}) {
    std::vector<std::string> arguments = {"--config", path};
    if (check) arguments.push_back("--check-config");
    const Finished finished = RunDaemonWith(arguments);
    EXPECT_EQ(finished.exit_status, 3) << finished.output;
    EXPECT_TRUE(Contains(finished.output, path + ":2:"));
    EXPECT_TRUE(Contains(finished.output, path + ":3:"));
  }
}

TEST(Program, RefusesAConfigurationThatIsNotThere) {
  const Finished finished = RunDaemonWith({"--config", "/nonexistent/hl-bufd.toml"});
  EXPECT_EQ(finished.exit_status, 3);
  EXPECT_TRUE(Contains(finished.output, "/nonexistent/hl-bufd.toml"));
}

TEST(Program, ExplainsItself) {
  const Finished help = RunDaemonWith({"--help"});
  EXPECT_EQ(help.exit_status, 0);
  for (const char* part : {"--config", "--check-config", "Exit status", "SIGTERM"})
    EXPECT_TRUE(Contains(help.output, part));
  EXPECT_EQ(RunDaemonWith({"--version"}).exit_status, 0);
  const Finished unknown = RunDaemonWith({"--no-such-thing"});
  EXPECT_EQ(unknown.exit_status, 2);
  EXPECT_TRUE(StartsWith(unknown.output, "hl-bufd: "));
  EXPECT_TRUE(Contains(unknown.output, "--no-such-thing"));
  EXPECT_EQ(RunDaemonWith({"--config", ""}).exit_status, 2);
}

}  // namespace
}  // namespace hlbuf
