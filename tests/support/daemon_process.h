// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_DAEMON_PROCESS_H_
#define HLBUF_TESTS_SUPPORT_DAEMON_PROCESS_H_

#include <gtest/gtest.h>
#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/child.h"
#include "tests/support/raw_client.h"
#include "tests/support/supervisor.h"

namespace hlbuf {

// The kind of device that this run is about: $HLBUF_TEST_DEVICE, or else "software".
std::string DeviceKind();
// Whether the kernel counts references to its buffers, so that verdicts can be PROVEN.
bool CountsReferences();

struct DaemonOptions {
  std::string kind = DeviceKind();
  bool drills = true;
  std::string device_keys = "size = \"64MiB\"";  // TOML
  std::string socket_keys;                       // TOML
  std::string config;                            // TOML, beside sockets and device
  std::optional<rlim_t> nofile;                  // hard and soft limit
  std::optional<rlim_t> soft_nofile;
  // As in production, as a user without capabilities; empty: as this process.
  std::optional<uid_t> uid;
  // Otherwise devices may be missing: nobody waits for them.
  bool device_is_there = true;
  // As by systemd: it is passed its sockets, what it stores comes back, and when it dies the next
  // one is started. Otherwise it has nobody but itself.
  bool supervised = false;
  // Supervised, and as installed: its state is with its manager, which starts its keepers, too.
  // Otherwise it has a directory of its own for that.
  bool stored = false;
  // NAME=value, for its first life.
  std::vector<std::string> environment;
};

// The real hl-bufd, with one device called dev0 that takes drills, on sockets in a directory of its
// own. Members of kClientsGid may connect and allocate, as may the service's own uid.
//
// A bystander is connected from the first moment to the last. It asks for nothing, and has to get
// an answer at the end whatever others did.
class DaemonProcess {
 public:
  static constexpr gid_t kClientsGid = 64'100;
  static constexpr uid_t kServiceUid = 64'099;  // for DaemonOptions::uid

  // Returns when the daemon has said that it is ready, and its device is.
  explicit DaemonProcess(const DaemonOptions& options = {});
  ~DaemonProcess();
  DaemonProcess(const DaemonProcess&) = delete;
  DaemonProcess& operator=(const DaemonProcess&) = delete;

  pid_t pid() const { return supervisor_->pid(); }
  const std::string& directory() const { return directory_.path(); }
  // Where it writes down what it has, if it is supervised.
  std::string state_directory() const;
  // What is mounted into containers: the directory of the clients' socket.
  std::string client_directory() const { return directory() + "/client"; }
  std::string client_socket() const { return client_directory() + "/buf.sock"; }
  std::string control_socket() const { return directory() + "/control/control.sock"; }
  // Where it asks who holds what, if somebody listens there.
  std::string holders_socket() const { return directory() + "/holders.sock"; }
  // Where it gets keepers, if somebody listens there.
  std::string keeper_socket() const { return directory() + "/keeper.sock"; }
  std::string config_path() const { return directory() + "/hl-bufd.toml"; }

  // The processes that keep descriptors for it, in whichever of its lives they were begun.
  std::vector<pid_t> Keepers() const;
  // What its descriptors lead to and how often, without the numbers in it.
  std::map<std::string, int> Descriptors() const;
  // Those are again what they were when it had started; in a later life no more than that.
  void ExpectDescriptorsAsAtStart();
  void ExpectAnswersTheBystander();
  // Of buffers in every state; those of others, for the bystander has none.
  std::uint64_t UsedBytes();
  // The memory of all buffers is back at the device, or will be soon.
  void ExpectNothingInUse();
  // Processor time so far, of all its threads.
  absl::Duration CpuTime() const;
  std::string Log() const { return ReadAll(directory() + "/log"); }

  void Signal(int signal) const { supervisor_->Signal(signal); }
  bool RunsFor(int ms) const { return supervisor_->RunsFor(ms); }
  // SIGTERM; its exit status, -1 if it did not end or died of a signal.
  int Stop();
  bool stopped() const { return stopped_; }
  // Starts it again, in the same directory. It has ended.
  void Restart();
  // The first process's part.
  Supervisor& supervisor() { return *supervisor_; }
  // `supervised`: SIGKILL. Returns when the next one is ready, and its device is.
  void Crash();
  // The same for one that has died, or will, of itself: until the life number `life` is ready.
  void AwaitLife(int life);

 private:
  void WriteConfig(const DaemonOptions& options) const;
  SupervisedService ServiceFor(const DaemonOptions& options) const;
  bool AreDevicesReady();
  void AwaitDevices();

  bool device_is_there_;
  TemporaryDirectory directory_;
  std::unique_ptr<Supervisor> supervisor_;
  RawClient bystander_;
  std::map<std::string, int> at_start_;
  bool stopped_ = false;
};

// Runs hl-bufd to its end, for questions that it answers without serving anybody.
Finished RunDaemonWith(const std::vector<std::string>& arguments);

// A test with a daemon, which must be healthy and have its first descriptors when the test ends.
class DaemonTest : public testing::Test {
 protected:
  // The daemon of this program, which starts with the first test that asks for it and has to end
  // well after the last one. Nobody stops it.
  DaemonProcess& Use();
  // One of its own; it has to end well, unless the test ends it and says how.
  DaemonProcess& Start(const DaemonOptions& options = {});
  // One whose life is somebody else's affair.
  void Borrow(DaemonProcess& daemon);

  DaemonProcess& daemon() const { return *daemon_; }
  RawClient Greeted() { return RawClient::Greeted(daemon_->client_socket()); }
  void TearDown() override;

 private:
  std::unique_ptr<DaemonProcess> own_;
  DaemonProcess* daemon_ = nullptr;
  std::size_t log_bytes_ = 0;  // what it had said before this test
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_DAEMON_PROCESS_H_
