// SPDX-License-Identifier: Apache-2.0
#include "tests/system/installed_service.h"

#include <grp.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "tests/support/raw_client.h"

namespace hlbuf {
namespace {

constexpr const char* kConfigPath = "/etc/hl-bufd/hl-bufd.toml";
constexpr const char* kDropIn = "/run/systemd/system/hl-bufd.service.d/test.conf";

}  // namespace

Finished InstalledService::Run(const std::vector<std::string>& command) {
  const TemporaryDirectory directory;
  return RunToEnd({.arguments = command, .output = directory.path() + "/output"});
}

Finished InstalledService::Systemctl(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "/bin/systemctl");
  return Run(arguments);
}

void InstalledService::Must(const std::vector<std::string>& arguments) {
  const Finished finished = Systemctl(arguments);
  EXPECT_EQ(finished.exit_status, 0) << "systemctl " << arguments[0] << ": " << finished.output;
}

Finished InstalledService::Ctl(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "/usr/local/bin/hl-bufctl");
  return Run(arguments);
}

std::string InstalledService::Show(const std::string& unit, const std::string& property) {
  const Finished shown = Systemctl({"show", "--property", property, "--value", unit});
  EXPECT_EQ(shown.exit_status, 0) << shown.output;
  return std::string(absl::StripAsciiWhitespace(shown.output));
}

testing::AssertionResult InstalledService::Comes(const std::string& unit,
                                                 const std::string& property,
                                                 const std::string& value) {
  if (Eventually([&] { return Show(unit, property) == value; })) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << property << " of " << unit << " is " << Show(unit, property) << ", not " << value;
}

std::vector<std::string> InstalledService::KeeperUnits() {
  std::istringstream listed(Systemctl({"list-units", "--plain", "--no-legend", "--state=running",
                                       "hl-bufd-keeper@*.service"})
                                .output);
  std::vector<std::string> units;
  for (std::string line; std::getline(listed, line);)
    units.push_back(line.substr(0, line.find(' ')));
  return units;
}

std::string InstalledService::StatusField(const std::string& name) {
  std::istringstream status(ReadAll(absl::StrCat("/proc/", MainPid(), "/status")));
  for (std::string line; std::getline(status, line);)
    if (line.rfind(name + ":", 0) == 0)
      return std::string(absl::StripAsciiWhitespace(line.substr(name.size() + 1)));
  return "";
}

void InstalledService::Configure(const std::string& toml) {
  std::filesystem::create_directories(std::filesystem::path(kConfigPath).parent_path());
  std::ofstream(kConfigPath) << toml;
}

void InstalledService::DropIn(const std::string& lines) {
  std::filesystem::create_directories(std::filesystem::path(kDropIn).parent_path());
  std::ofstream(kDropIn) << "[Service]\n" << lines << "\n";
  Must({"daemon-reload"});
}

void InstalledService::SetUp() {
  Must({"stop", kTarget, kService});
  std::filesystem::remove(kConfigPath);
  if (std::filesystem::remove(kDropIn)) Must({"daemon-reload"});
  Must({"start", "hl-bufd-clients.socket", "hl-bufd-control.socket", "hl-bufd-keeper.socket",
        "hl-bufd-holders.socket"});
  began_ = absl::Now();
}

void InstalledService::TearDown() {
  if (HasFailure()) std::printf("the journal says:\n%s\n", Journal().c_str());
}

std::string InstalledService::Journal(const std::vector<std::string>& matches) const {
  Run({"/bin/journalctl", "--sync"});
  std::vector<std::string> command = {
      "/bin/journalctl", "--quiet", "--no-pager",
      absl::StrFormat("--since=@%.6f", absl::ToDoubleSeconds(began_ - absl::UnixEpoch()))};
  command.insert(command.end(), matches.begin(), matches.end());
  return Run(command).output;
}

testing::AssertionResult InstalledService::IsLogged(const std::string& text) const {
  if (Eventually([&] { return Journal().find(text) != std::string::npos; }))
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << "the journal has no '" << text << "'";
}

User InstalledService::Member(uid_t uid) {
  const group* const clients = ::getgrnam("hl-bufd-clients");
  EXPECT_NE(clients, nullptr) << "systemd-sysusers made no group";
  return {.uid = uid, .gids = {clients != nullptr ? clients->gr_gid : 0}};
}

User InstalledService::AwaitService(User user) {
  const RawClient connected = RawClient::Connect(kClientSocket);
  EXPECT_TRUE(Comes(kService, "ActiveState", "active"));
  return user;
}

}  // namespace hlbuf
