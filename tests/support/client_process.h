// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_CLIENT_PROCESS_H_
#define HLBUF_TESTS_SUPPORT_CLIENT_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proto/wire/unique_fd.h"
#include "tests/support/child.h"
#include "tests/support/raw_client.h"

namespace hlbuf {

// Who a client is. The default is this process's own user; others need root.
struct User {
  std::optional<uid_t> uid;
  std::vector<gid_t> gids;  // the first one is its own
};
// Two people who may use the daemon of a DaemonTest, and one who may not allocate.
User Alice();
User Bob();
User Stranger();

// What the process answered to a step.
struct Reply {
  bool ok = false;
  std::vector<std::string> words;
  std::string bytes;
  UniqueFd fd;

  std::uint64_t Number(std::size_t index = 0) const;
  int Int(std::size_t index = 0) const { return static_cast<int>(Number(index)); }
  std::string Text() const;  // all words
};

// A process that does what a client does, step by step (tests/support/step_client), and can be
// stopped or killed between any two of them. Ends with this object.
class ClientProcess {
 public:
  explicit ClientProcess(const User& user = {});
  ~ClientProcess();
  ClientProcess(const ClientProcess&) = delete;
  ClientProcess& operator=(const ClientProcess&) = delete;

  pid_t pid() const { return pid_; }
  // `bytes` and a borrowed descriptor go along. Not answered at all: a failure of the test.
  Reply Do(const std::string& step, const std::string& bytes = "", int fd = -1);
  // The same for a step that has to succeed.
  Reply Must(const std::string& step, const std::string& bytes = "", int fd = -1);
  // Does `step`; its answer is read by Answer(). For what takes time.
  void Begin(const std::string& step);
  Reply Answer();

  void Signal(int signal) const;
  // Returns when it is dead.
  void Kill();
  // Waits for its end; the signal that it died of, 0 if it died of none.
  int DiedOf();
  // Ends itself, leaving everything to the kernel.
  void Exit();
  // From now on it is alone in namespaces of its own, with nothing but `directory`, as /client.
  void EnterNamespaces(const std::string& directory);
  // A child of it, with all that it has.
  std::unique_ptr<ClientProcess> Fork();

  // Descriptors and mappings are named by what they are in that process.
  int Duplicate(int fd);
  void Close(int fd);
  // A copy of its descriptor here, or a copy of one of ours there.
  UniqueFd Give(int fd);
  int Take(int fd);
  std::uint64_t Map(int fd, std::uint64_t size_bytes);
  void Unmap(std::uint64_t address, std::uint64_t size_bytes);
  std::string Peek(std::uint64_t address, std::uint64_t size_bytes);
  void Poke(std::uint64_t address, const std::string& bytes);
  // The first bytes of what `fd` refers to, through a mapping that ends at once.
  std::string Read(int fd, std::uint64_t size_bytes);
  void Write(int fd, const std::string& bytes);

 private:
  ClientProcess(pid_t pid, UniqueFd channel);
  void AwaitDeath() const;

  UniqueFd channel_;
  std::unique_ptr<Child> child_;  // null for a forked one
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

// A packet that another process received: `numbers` are its descriptors there.
struct PacketThere : Packet {
  std::vector<int> numbers;
};

// A session of another process that speaks the wire itself.
class SessionThere {
 public:
  // Connected, and greeted.
  static SessionThere Greeted(ClientProcess& process, const std::string& path);
  static SessionThere Connect(ClientProcess& process, const std::string& path);

  int socket() const { return socket_; }
  // A descriptor of this process that goes along is borrowed; that process has it no more.
  void Send(const std::vector<std::byte>& frame, int fd = -1);
  // nullopt at end of file.
  std::optional<PacketThere> Receive();
  // The next that is no notice.
  std::optional<PacketThere> ReceiveAnswer();
  std::optional<PacketThere> Ask(const std::vector<std::byte>& frame);

 private:
  SessionThere(ClientProcess& process, int socket) : process_(&process), socket_(socket) {}
  ClientProcess* process_;
  int socket_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_CLIENT_PROCESS_H_
