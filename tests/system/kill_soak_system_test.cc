// SPDX-License-Identifier: Apache-2.0
// The soak of tests/soak on the installed service, which systemd starts again: $HLBUF_KILLS kills
// (10) and $HLBUF_KILL_RESETS resets (2).
#include <gtest/gtest.h>

#include "absl/strings/str_format.h"
#include "tests/soak/board.h"
#include "tests/soak/soak_figures.h"
#include "tests/soak/soaked_service.h"
#include "tests/support/descriptors.h"
#include "tests/system/installed_service.h"

namespace hlbuf {
namespace {

constexpr const char* kConfig = R"(
default_device = "dev0"
[[device]]
name = "dev0"
kind = "software"
drills = true
size = "256MiB"
[limits.domain]
bytes = "128MiB"
buffers = 4000
sessions = 200
leases = 8000
in_flight_fds = 2000
)";

class InstalledKillSoak : public InstalledService {
 protected:
  class SoakedUnit final : public SoakedService {
   public:
    std::string client_socket() const override { return kClientSocket; }
    std::string control_socket() const override { return kControlSocket; }
    gid_t clients_gid() const override { return Member(0).gids.front(); }
    void Kill() override {
      const pid_t before = MainPid();
      Must({"kill", "--signal=KILL", "--kill-who=main", kService});
      EXPECT_TRUE(Eventually([before] {
        const pid_t now = MainPid();
        return now != before && now != 0 && Show(kService, "SubState") == "running";
      }));
    }
    void BeginReset() override {
      drill_ = std::make_unique<Child>(Program{
          .arguments = {"/usr/local/bin/hl-bufctl", "simulate-reset", "--grace", "10s", "dev0"},
          .output = directory_.path() + "/said",
          .appends = true});
    }
    void RepeatReset() override {
      if (!drill_->RunsFor(0)) BeginReset();
    }
    void Revoke(std::uint64_t buffer) override {
      static_cast<void>(Ctl({"revoke", "--grace", "10s", absl::StrFormat("%x", buffer)}));
    }
    std::map<std::string, std::uint64_t> CountDescriptors() override {
      return {{"hl-bufd", DescriptorsOf(MainPid()).size()}};
    }

   private:
    TemporaryDirectory directory_;
    std::unique_ptr<Child> drill_;
  };
};

TEST_F(InstalledKillSoak, CostsNoClientAnything) {
  Configure(kConfig);
  Must({"start", kService});
  SoakedUnit service;
  service.Kill();  // a later life has a descriptor more for what it took over
  SoakAndRecordFigures(service, {.clients = kSoakClientsMax, .kills = 10, .resets = 2});
}

}  // namespace
}  // namespace hlbuf
