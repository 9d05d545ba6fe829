// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SYSTEM_INSTALLED_SERVICE_H_
#define HLBUF_TESTS_SYSTEM_INSTALLED_SERVICE_H_

#include <gtest/gtest.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/child.h"
#include "tests/support/library_client.h"

namespace hlbuf {

inline constexpr const char* kService = "hl-bufd.service";
inline constexpr const char* kTarget = "hl-bufd.target";
inline constexpr const char* kClientSocket = "/run/hl-bufd/client/buf.sock";
inline constexpr const char* kControlSocket = "/run/hl-bufd/control/control.sock";

// hl-bufd as `cmake --install` has put it onto this system, whose first process is systemd. Each
// test finds it stopped, with no configuration, and its sockets listening.
class InstalledService : public testing::Test {
 protected:
  void SetUp() override;
  // Shows what the journal has of a test that failed.
  void TearDown() override;

  static Finished Run(const std::vector<std::string>& command);
  static Finished Systemctl(std::vector<std::string> arguments);
  // One that has to succeed.
  static void Must(const std::vector<std::string>& arguments);
  static Finished Ctl(std::vector<std::string> arguments);

  static std::string Show(const std::string& unit, const std::string& property);
  static testing::AssertionResult Comes(const std::string& unit, const std::string& property,
                                        const std::string& value);
  static pid_t MainPid() { return std::stoi(Show(kService, "MainPID")); }
  // The units of the keepers that run.
  static std::vector<std::string> KeeperUnits();
  // Of the only one.
  static pid_t KeeperPid() { return std::stoi(Show(KeeperUnits().at(0), "MainPID")); }
  // A field of /proc/PID/status of the service.
  static std::string StatusField(const std::string& name);

  static void Configure(const std::string& toml);
  // Lines for the unit, until the test ends.
  static void DropIn(const std::string& lines);
  // What was logged since the test began, of all units; with `matches` of journalctl.
  std::string Journal(const std::vector<std::string>& matches = {}) const;
  testing::AssertionResult IsLogged(const std::string& text) const;

  // Somebody in the group hl-bufd-clients.
  static User Member(uid_t uid);
  // Two of them, connected.
  static LibraryClient Alice() { return {AwaitService(Member(64'001)), kClientSocket}; }
  static LibraryClient Bob() { return {AwaitService(Member(64'002)), kClientSocket}; }

 private:
  // Connects, which starts it, and waits until it is ready: whoever is quick could ask for memory
  // of a device that is still being opened.
  static User AwaitService(User user);

  absl::Time began_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SYSTEM_INSTALLED_SERVICE_H_
