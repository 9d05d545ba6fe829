// SPDX-License-Identifier: Apache-2.0
#include "tests/support/daemon_process.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace hlbuf {
namespace {

constexpr std::size_t kStoredMax = 512;  // as hl-bufd.service has it

constexpr const char* kConfig = R"(
default_device = "dev0"
[sockets]
client = "$DIRECTORY/client/buf.sock"
clients_group = $GROUP
control = "$DIRECTORY/control/control.sock"
holders = "$DIRECTORY/holders.sock"
keeper = "$DIRECTORY/keeper.sock"
$SOCKET_KEYS
[[device]]
name = "dev0"
kind = "$KIND"
drills = $DRILLS
$KEYS
)";

std::optional<rlimit> LimitOf(const DaemonOptions& options) {
  rlimit limit = {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (options.nofile.has_value())
    limit = {.rlim_cur = *options.nofile, .rlim_max = *options.nofile};
  if (options.soft_nofile.has_value()) limit.rlim_cur = *options.soft_nofile;
  return limit;
}

std::map<std::string, int> LinksOf(const std::string& directory) {
  std::map<std::string, int> links;
  const std::regex number("[0-9]+");
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator(directory, gone)) {
    const std::string link = std::filesystem::read_symlink(entry.path(), gone).string();
    if (!gone) ++links[std::regex_replace(link, number, "N")];
  }
  return links;
}

// The line of a file below /proc that begins with `start`; none: the process has gone.
std::string LineOf(const std::string& path, const std::string& start) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.rfind(start, 0) == 0) return line.substr(start.size());
  return "";
}

std::string TextOf(const std::map<std::string, int>& links) {
  std::ostringstream text;
  for (const auto& [link, count] : links) text << "  " << count << " x " << link << "\n";
  return text.str();
}

// Ends before GoogleTest counts the failures.
class SharedDaemon final : public testing::Environment {
 public:
  void TearDown() override {
    if (daemon == nullptr) return;
    EXPECT_EQ(daemon->Stop(), 0) << daemon->Log();
    daemon.reset();
  }
  std::unique_ptr<DaemonProcess> daemon;
};
SharedDaemon* const shared = new SharedDaemon;  // GoogleTest's, which deletes it
testing::Environment* const registered = testing::AddGlobalTestEnvironment(shared);

}  // namespace

std::string DeviceKind() {
  const char* kind = std::getenv("HLBUF_TEST_DEVICE");
  return kind != nullptr ? kind : "software";
}

bool CountsReferences() { return DeviceKind() != "software"; }

DaemonProcess::DaemonProcess(const DaemonOptions& options)
    : device_is_there_(options.device_is_there) {
  WriteConfig(options);
  supervisor_ = std::make_unique<Supervisor>(ServiceFor(options));
  supervisor_->SetEnvironmentOfNext(options.environment);
  Restart();
}

SupervisedService DaemonProcess::ServiceFor(const DaemonOptions& options) const {
  SupervisedService service = {
      .program = {.arguments = {BuiltPath("daemon/hl-bufd"), "--config", config_path()},
                  .output = directory() + "/log",
                  .nofile = LimitOf(options),
                  .uid = options.uid,
                  .gid = kClientsGid},
      .notify_path = directory() + "/notify"};
  if (!options.supervised) return service;
  std::filesystem::create_directory(directory() + "/control");
  ::chmod((directory() + "/control").c_str(), 0755);
  service.sockets.emplace_back(
      "clients", ListeningUnixSocket(client_socket(), SOCK_SEQPACKET, 0660, kClientsGid));
  service.sockets.emplace_back(
      "control", ListeningUnixSocket(control_socket(), SOCK_STREAM, 0666, ::getegid()));
  service.stored_max = kStoredMax;
  service.restarts = true;
  if (options.stored) {
    service.listening = ListeningUnixSocket(directory() + "/keeper.sock", SOCK_SEQPACKET, 0600,
                                            options.uid.has_value() ? kClientsGid : ::getegid());
    service.accepted = {.arguments = {BuiltPath("daemon/hl-bufd-keeper")}};
  }
  return service;
}

void DaemonProcess::Restart() {
  stopped_ = false;
  supervisor_->Start();
  AwaitLife(supervisor_->lives());
  at_start_ = Descriptors();
}

void DaemonProcess::AwaitLife(int life) {
  EXPECT_TRUE(supervisor_->BecomesReady(life)) << "hl-bufd did not become ready:\n" << Log();
  bystander_ = RawClient::Greeted(client_socket());
  if (device_is_there_) AwaitDevices();
}

void DaemonProcess::Crash() {
  const int life = supervisor_->lives();
  supervisor_->Kill();
  AwaitLife(life + 1);
}

// Keepers would wait for the next life, with the device.
DaemonProcess::~DaemonProcess() {
  const std::vector<pid_t> keepers = Keepers();
  supervisor_.reset();
  for (const pid_t keeper : keepers) {
    ::kill(keeper, SIGKILL);
    ::waitpid(keeper, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(state_directory(), ignored);
}

std::string DaemonProcess::state_directory() const {
  return "/dev/shm/" + std::filesystem::path(directory()).filename().string();
}

void DaemonProcess::WriteConfig(const DaemonOptions& options) const {
  // Before the daemon does, so that it can be another user's.
  std::filesystem::create_directory(client_directory());
  ::chmod(client_directory().c_str(), 0755);
  if (options.uid.has_value()) {
    EXPECT_EQ(::chown(directory().c_str(), *options.uid, kClientsGid), 0);
    EXPECT_EQ(::chown(client_directory().c_str(), *options.uid, kClientsGid), 0);
  }
  std::ofstream(config_path()) << absl::StrReplaceAll(
                                      kConfig, {{"$DIRECTORY", directory()},
                                                {"$GROUP", absl::StrCat(kClientsGid)},
                                                {"$KIND", options.kind},
                                                {"$DRILLS", options.drills ? "true" : "false"},
                                                {"$KEYS", options.device_keys},
                                                {"$SOCKET_KEYS", options.socket_keys}})
                               << options.config;
  if (options.supervised && !options.stored) {
    // On a tmpfs, as below /run.
    std::ofstream(config_path(), std::ios::app)
        << "[state]\ndirectory = \"" << state_directory() << "\"\n";
  }
}

bool DaemonProcess::AreDevicesReady() {
  const std::optional<Packet> list = bystander_.Ask(DevicesFrame(2));
  for (std::size_t i = 0; list && i < list->As<hlbuf_wire_device_list>().item_count; ++i)
    if (list->ItemAt<hlbuf_wire_device_item>(i).state != HLBUF_WIRE_DEVICE_READY) return false;
  return list.has_value();
}

void DaemonProcess::AwaitDevices() {
  EXPECT_TRUE(Eventually([this] { return AreDevicesReady(); })) << "not all devices are there:\n"
                                                                << Log();
}

std::vector<pid_t> DaemonProcess::Keepers() const {
  std::vector<pid_t> keepers;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", gone)) {
    const auto pid = static_cast<pid_t>(std::strtol(entry.path().filename().c_str(), nullptr, 10));
    const std::string status = entry.path().string() + "/status";
    if (pid <= 0 || LineOf(status, "Name:\t") != "hl-keeper") continue;
    if (LineOf(status, "State:\t").rfind('Z', 0) == 0) continue;
    // Those of a life that has ended are this process's, as all orphans of it.
    const std::string parent = LineOf(status, "PPid:\t");
    if (parent == absl::StrCat(this->pid()) || parent == absl::StrCat(::getpid()))
      keepers.push_back(pid);
  }
  return keepers;
}

std::map<std::string, int> DaemonProcess::Descriptors() const {
  return LinksOf(absl::StrCat("/proc/", pid(), "/fd"));
}

void DaemonProcess::ExpectDescriptorsAsAtStart() {
  // A later life has none of the processes that an earlier one began.
  const auto is_as_then = [this] {
    const std::map<std::string, int> now = Descriptors();
    if (supervisor_->lives() == 1) return now == at_start_;
    return std::all_of(now.begin(), now.end(), [this](const auto& link) {
      const auto then = at_start_.find(link.first);
      return then != at_start_.end() && link.second <= then->second;
    });
  };
  if (Eventually(is_as_then)) return;
  ADD_FAILURE() << "descriptors at the start:\n"
                << TextOf(at_start_) << "now:\n"
                << TextOf(Descriptors());
}

void DaemonProcess::ExpectAnswersTheBystander() {
  const std::optional<Packet> answer = bystander_.Ask(DevicesFrame(3));
  ASSERT_TRUE(answer.has_value()) << "the bystander lost its session";
  EXPECT_EQ(answer->opcode(), HLBUF_WIRE_DEVICE_LIST) << answer->text();
}

std::uint64_t DaemonProcess::UsedBytes() {
  const std::optional<Packet> list = bystander_.Ask(DevicesFrame(4));
  return list.has_value() ? list->ItemAt<hlbuf_wire_device_item>(0).used_bytes : 0;
}

void DaemonProcess::ExpectNothingInUse() {
  EXPECT_TRUE(Eventually([this] { return UsedBytes() == 0; }))
      << UsedBytes() << " bytes are in use";
}

absl::Duration DaemonProcess::CpuTime() const {
  clockid_t clock = 0;
  timespec time = {};
  EXPECT_EQ(::clock_getcpuclockid(pid(), &clock), 0);
  EXPECT_EQ(::clock_gettime(clock, &time), 0);
  return absl::DurationFromTimespec(time);
}

int DaemonProcess::Stop() {
  stopped_ = true;
  return supervisor_->Stop();
}

Finished RunDaemonWith(const std::vector<std::string>& arguments) {
  const TemporaryDirectory directory;
  Program program{.arguments = {BuiltPath("daemon/hl-bufd")}, .output = directory.path() + "/log"};
  program.arguments.insert(program.arguments.end(), arguments.begin(), arguments.end());
  return RunToEnd(program);
}

DaemonProcess& DaemonTest::Use() {
  if (shared->daemon == nullptr || !shared->daemon->RunsFor(0))
    shared->daemon = std::make_unique<DaemonProcess>();
  Borrow(*shared->daemon);
  return *daemon_;
}

void DaemonTest::Borrow(DaemonProcess& daemon) {
  daemon_ = &daemon;
  log_bytes_ = daemon_->Log().size();
}

DaemonProcess& DaemonTest::Start(const DaemonOptions& options) {
  own_ = std::make_unique<DaemonProcess>(options);
  daemon_ = own_.get();
  return *daemon_;
}

void DaemonTest::TearDown() {
  if (daemon_ == nullptr) return;
  if (!daemon_->stopped()) {
    EXPECT_TRUE(daemon_->RunsFor(0)) << "hl-bufd died";
    daemon_->ExpectAnswersTheBystander();
    daemon_->ExpectDescriptorsAsAtStart();
    if (own_ != nullptr) {
      EXPECT_EQ(own_->Stop(), 0);
    }
  }
  if (HasFailure()) std::printf("hl-bufd said:\n%s\n", daemon_->Log().substr(log_bytes_).c_str());
  if (own_ != nullptr) daemon_ = nullptr;
  own_.reset();  // before what the fixture has for it
}

}  // namespace hlbuf
