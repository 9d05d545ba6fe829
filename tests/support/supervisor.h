// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_SUPERVISOR_H_
#define HLBUF_TESTS_SUPPORT_SUPERVISOR_H_

#include <sys/types.h>

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "proto/wire/packet.h"
#include "proto/wire/unique_fd.h"
#include "tests/support/child.h"
#include "tests/support/stored_descriptors.h"

namespace hlbuf {

// A service of systemd's Type=notify, and what its manager has for it.
struct SupervisedService {
  Program program;
  std::string notify_path;                                // where its notify socket is made
  std::vector<std::pair<std::string, UniqueFd>> sockets;  // it is passed these in each life
  std::size_t stored_max = 0;                             // FileDescriptorStoreMax=
  bool restarts = false;                                  // Restart=always, RestartSec=0
  // Accept=yes: for each connection to `listening`, a process that has it as descriptor 3. It
  // outlives the service, and ends by itself.
  UniqueFd listening;
  Program accepted;
};

// Plays the part of the first process for one service, where systemd is not there: starts it, waits
// for READY=1, keeps what it stores (FDSTORE, FDSTOREREMOVE, FDPOLL, BARRIER) and passes that and
// the sockets on to the next process. What a process had sent before it died counts.
//
// All functions wait for kPatienceMs at the most, and fail the test after that.
class Supervisor {
 public:
  explicit Supervisor(SupervisedService service);
  // Kills it.
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Starts a process. The one before has ended.
  void Start();
  // NAME=value, for the next process that is started, and for that alone.
  void SetEnvironmentOfNext(std::vector<std::string> environment);
  // Whether the process is, or becomes, READY in its life number `life`, the first of which is 1;
  // not, when it has ended.
  bool BecomesReady(int life);
  bool BecomesReady() { return BecomesReady(lives()); }
  // Until so many processes have ended; false: they have not, in time.
  bool HasEnded(int lives, int ms = kPatienceMs);
  // The wait status of each process that has ended.
  std::vector<int> Ends() const;

  int lives() const;  // processes started
  pid_t pid() const;  // of the last one
  void Signal(int signal) const;
  bool RunsFor(int ms) const;
  // SIGKILL; returns when it is dead and, with `restarts`, the next one is started.
  void Kill();
  // SIGTERM, and nothing is started again; its exit status, -1 if it died of a signal. What was
  // stored is closed, as by `systemctl stop`.
  int Stop();

  // Whether it reads what it is told, which it does at first. Who waits for it waits, else.
  void SetReading(bool reads);

  std::vector<std::string> StoredNames() const;
  // As if the service had stored it.
  void Store(const std::string& name, UniqueFd fd);
  // Processes of connections, those that live.
  std::vector<pid_t> AcceptedPids();
  std::string status() const;  // its last STATUS=

 private:
  void Launch();
  void Run();
  void ReadNotifications();
  void Take(const std::string& text, std::vector<UniqueFd>& fds);
  void OnEnd();
  void Accept();
  void Wake() const;

  SupervisedService service_;
  UniqueFd notify_, wake_;
  PacketBuffer packet_;  // of the thread

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  StoredDescriptors stored_;
  std::unique_ptr<Child> child_;
  std::vector<std::unique_ptr<Child>> accepted_;
  std::vector<int> ends_;
  int lives_ = 0;
  bool ready_ = false, stops_ = false, finishes_ = false, reads_ = true;
  std::string status_;
  std::vector<std::string> environment_of_next_;
  std::thread thread_;
};

// A listening socket, as a socket unit makes it.
UniqueFd ListeningUnixSocket(const std::string& path, int type, mode_t mode, gid_t group);

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_SUPERVISOR_H_
