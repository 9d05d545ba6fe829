// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "daemon/base/crash_point.h"
#include "daemon/base/log.h"
#include "daemon/config.h"
#include "daemon/config_warnings.h"
#include "daemon/control_tcp.h"
#include "daemon/daemon.h"
#include "daemon/may_signal.h"

namespace {

constexpr const char* kDefaultConfig = "/etc/hl-bufd/hl-bufd.toml";

constexpr const char* kFooter =
    "Without a configuration file hl-bufd serves one software device and says so.\n"
    "SIGTERM and SIGINT stop it: every client is told; what is held is kept for the next process\n"
    "where systemd or [state] keeps it, else it ends. SIGHUP has it read the configuration again:\n"
    "rules, roles, limits, times, enforcement, the log level and the certificates of "
    "[control_tcp]\n"
    "hold at once, devices and sockets need a restart. A bad one is refused, and the old one "
    "kept.\n"
    "\n"
    "Exit status: 0 stopped as asked, 1 could not start or run, 2 bad command line, 3 bad "
    "configuration.\n"
    "Files:       /etc/hl-bufd/hl-bufd.toml, /run/hl-bufd/client/buf.sock, "
    "/run/hl-bufd/control/control.sock";

enum ExitStatus { kFailed = 1, kBadUsage = 2, kBadConfig = 3 };

absl::StatusOr<hlbuf::Config> Configure(const std::string& path) {
  if (!path.empty()) return hlbuf::LoadConfig(path);
  // Only where there is none: one that is there and cannot be read was written for a reason.
  if (::access(kDefaultConfig, F_OK) == 0 || errno != ENOENT)
    return hlbuf::LoadConfig(kDefaultConfig);
  return hlbuf::ParseConfig("", "built-in configuration", hlbuf::ThisMachine());
}

// With the files that it names: what the service takes while it runs, or not at all. A start goes
// on without them.
absl::StatusOr<hlbuf::Config> ConfigureWhole(const std::string& path) {
  absl::StatusOr<hlbuf::Config> config = Configure(path);
  if (!config.ok()) return config;
  const absl::Status read = hlbuf::ReadTls(config->control_tcp);
  return read.ok() ? config : read;
}

// With what the start would warn of. Only the capabilities are left out: those of whoever runs this
// are not those that the service's unit gives.
int SayThatItIsGood(const hlbuf::Config& config) {
  std::printf("The configuration is good.\n%s\n", hlbuf::Describe(config.caps, "\n").c_str());
  std::fflush(stdout);
  for (const std::string& warning :
       hlbuf::WarningsOf(config, {.vouched_clients = hlbuf::KernelVouchesForPeers()}))
    std::fprintf(stderr, "warning: %s\n", warning.c_str());
  return 0;
}

#ifndef HLBUF_NO_CRASH_POINTS
// For tests: $HLBUF_CRASH_POINT says where this process dies.
absl::Status ArmForTests() {
  const char* where = std::getenv("HLBUF_CRASH_POINT");
  return where != nullptr ? hlbuf::ArmCrashPoint(where) : absl::OkStatus();
}
#else
absl::Status ArmForTests() { return absl::OkStatus(); }
#endif

}  // namespace

int main(int argc, char** argv) {
  std::string config_path;
  bool check_only = false;
  CLI::App app("hl-bufd: owns an accelerator's memory and hands it to processes as dma-bufs");
  app.footer(kFooter);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return "hl-bufd: " + std::string(error.what()) +
           "\nRun `hl-bufd --help` for more information.\n";
  });
  app.set_version_flag("--version", HLBUF_VERSION);
  app.add_option("--config", config_path,
                 "TOML file; default: /etc/hl-bufd/hl-bufd.toml if it is there")
      ->type_name("FILE")
      ->check([](const std::string& path) -> std::string {
        return path.empty() ? "it is empty, and names no file" : "";
      });
  app.add_flag(
      "--check-config", check_only,
      "only say whether the configuration is good, with file, line and key if not, and what "
      "the start would warn of");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kBadUsage;
  }

  const absl::StatusOr<hlbuf::Config> config =
      check_only ? ConfigureWhole(config_path) : Configure(config_path);
  if (!config.ok()) {
    if (check_only)
      std::fprintf(stderr, "%s\n", std::string(config.status().message()).c_str());
    else
      hlbuf::LogRefusedConfig(config.status());
    return kBadConfig;
  }
  if (check_only) return SayThatItIsGood(*config);
  absl::Status ran = ArmForTests();
  if (ran.ok())
    ran = hlbuf::RunDaemon(*config, [config_path] { return ConfigureWhole(config_path); });
  if (ran.ok()) return 0;
  hlbuf::Log(hlbuf::LogLevel::kError, std::string(ran.message()));
  return kFailed;
}
