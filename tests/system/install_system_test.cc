// SPDX-License-Identifier: Apache-2.0
// What an installation puts onto a system, before anything of it runs.
#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/stat.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/observe/message_ids.h"
#include "tests/support/texts.h"
#include "tests/system/installed_service.h"

namespace hlbuf {
namespace {

const std::vector<std::string> kUnits = {"hl-bufd.target",           "hl-bufd.service",
                                         "hl-bufd-clients.socket",   "hl-bufd-control.socket",
                                         "hl-bufd-keeper.socket",    "hl-bufd-holders.socket",
                                         "hl-bufd-keeper@1.service", "hl-bufd-holders@1.service"};

class Installation : public InstalledService {};

TEST_F(Installation, HasUnitsThatSystemdUnderstands) {
  std::vector<std::string> command = {"/bin/systemd-analyze", "verify"};
  command.insert(command.end(), kUnits.begin(), kUnits.end());
  const Finished verified = Run(command);
  EXPECT_EQ(verified.exit_status, 0);
  EXPECT_EQ(verified.output, "");
}

// The score of systemd-analyze, from 0 (best) to 10, at most 1.2.
TEST_F(Installation, ExposesLittle) {
  for (const auto& [unit, figure] :
       {std::pair("hl-bufd.service", "security_score"),
        std::pair("hl-bufd-keeper@.service", "security_score_keeper")}) {
    const Finished judged =
        Run({"/bin/systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=12",
             absl::StrCat("/usr/local/lib/systemd/system/", unit)});
    EXPECT_EQ(judged.exit_status, 0) << judged.output;
    const std::size_t overall = judged.output.find("Overall exposure level");
    ASSERT_NE(overall, std::string::npos) << judged.output;
    const std::string level = judged.output.substr(overall);
    std::printf("%s", level.c_str());
    RecordProperty(figure, absl::StrCat(NumberAfter("service: ", level)));
  }
}

TEST_F(Installation, GivesTheOneShotForHoldersTwoCapabilitiesAndNoMore) {
  const std::string granted = Show("hl-bufd-holders@1.service", "CapabilityBoundingSet");
  EXPECT_TRUE(Contains(granted, "cap_sys_ptrace"));
  EXPECT_TRUE(Contains(granted, "cap_dac_read_search"));
  EXPECT_EQ(std::count(granted.begin(), granted.end(), ' '), 1) << granted;
}

TEST_F(Installation, MakesTheUserAndTheGroupOfItsClients) {
  const passwd* const user = ::getpwnam("hl-bufd");
  ASSERT_NE(user, nullptr);
  EXPECT_LT(user->pw_uid, 1000u) << "a system user";
  EXPECT_TRUE(Contains(user->pw_shell, "nologin"));
  EXPECT_NE(::getgrnam("hl-bufd-clients"), nullptr);
  EXPECT_EQ(::getgrnam("hl-bufd-clients")->gr_mem[0], nullptr) << "nobody is in it yet";
}

TEST_F(Installation, MakesDirectoriesToWhichOnlyRootCanWrite) {
  for (const char* name : {"", "/client", "/control", "/keeper", "/holders"}) {
    const std::string directory = absl::StrCat("/run/hl-bufd", name);
    struct stat at = {};
    ASSERT_EQ(::stat(directory.c_str(), &at), 0) << directory;
    EXPECT_EQ(at.st_uid, 0u) << directory;
    EXPECT_EQ(at.st_mode & 07777, 0755u) << directory;
  }
}

TEST_F(Installation, HasSocketsThatLetInWhoIsMeant) {
  struct Socket {
    const char* path;
    const char* user;
    const char* group;
    mode_t mode;
  };
  for (const Socket& socket :
       {Socket{kClientSocket, "root", "hl-bufd-clients", 0660},
        Socket{kControlSocket, "root", "root", 0666},
        Socket{"/run/hl-bufd/keeper/keeper.sock", "hl-bufd", "hl-bufd", 0600},
        Socket{"/run/hl-bufd/holders/holders.sock", "hl-bufd", "hl-bufd", 0600}}) {
    struct stat at = {};
    ASSERT_EQ(::stat(socket.path, &at), 0) << socket.path;
    EXPECT_TRUE(S_ISSOCK(at.st_mode)) << socket.path;
    EXPECT_EQ(at.st_mode & 0777, socket.mode) << socket.path;
    EXPECT_EQ(at.st_uid, ::getpwnam(socket.user)->pw_uid) << socket.path;
    EXPECT_EQ(at.st_gid, ::getgrnam(socket.group)->gr_gid) << socket.path;
  }
}

TEST_F(Installation, ExplainsItsMessagesInTheJournalsCatalog) {
  for (const absl::string_view id : kMessageIds) {
    const Finished entry =
        Run({"/bin/journalctl", "--no-pager", "--dump-catalog", std::string(id)});
    EXPECT_EQ(entry.exit_status, 0) << entry.output;
    EXPECT_TRUE(Contains(entry.output, "Defined-By: hl-bufd"));
  }
}

TEST_F(Installation, HasDropInsThatTheUnitTakes) {
  const std::filesystem::path examples = "/usr/local/share/doc/hlbuf/drop-ins";
  int tried = 0;
  for (const auto& file : std::filesystem::directory_iterator(examples)) {
    const std::filesystem::path directory = "/run/systemd/system/hl-bufd.service.d";
    std::filesystem::create_directories(directory);
    std::filesystem::copy_file(file.path(), directory / file.path().filename());
    Must({"daemon-reload"});
    const Finished verified = Run({"/bin/systemd-analyze", "verify", kService});
    EXPECT_EQ(verified.output, "") << file.path();
    std::filesystem::remove(directory / file.path().filename());
    ++tried;
  }
  Must({"daemon-reload"});
  EXPECT_GE(tried, 1);
}

TEST_F(Installation, LetsTheServiceSignalClientsWhereAnAdministratorAddsEnforcement) {
  DropIn("CapabilityBoundingSet=CAP_KILL\nAmbientCapabilities=CAP_KILL");
  Must({"start", kService});
  EXPECT_EQ(StatusField("CapEff"), "0000000000000020");
}

}  // namespace
}  // namespace hlbuf
