// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_WITNESS_SOCKET_WITNESS_H_
#define HLBUF_DAEMON_WITNESS_SOCKET_WITNESS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "daemon/base/clock.h"
#include "daemon/base/event_loop.h"
#include "daemon/core/witness.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// Asks hl-bufd-holders, which somebody starts for each connection to a socket. Where there is no
// such socket nobody can be asked; that is looked at with each question.
//
// One question at a time, for each has all processes looked at: what is asked meanwhile is asked
// together afterwards. An answer counts only from root or from this service's own user. Nothing
// here blocks.
class SocketWitness final : public Witness {
 public:
  // How long an answer may take.
  static constexpr absl::Duration kPatience = absl::Seconds(10);
  static constexpr std::size_t kWaitingMax = 64;

  // An empty `path`: nobody is ever asked.
  SocketWitness(std::string path, EventLoop& loop, const Clock& clock);
  ~SocketWitness() override;

  bool Ask(std::vector<BufferFile> files, Done done) override;

  absl::Time NextDeadline() const;
  void RunDeadlines();

 private:
  struct Question {
    std::vector<BufferFile> files;
    Done done;
  };
  // What is on its way; its connection ends with it.
  struct Exchange;

  // Asks all of `questions`, as far as one question has room, and takes them. Errors: why nobody
  // can be asked; nothing was taken then.
  absl::Status Begin(std::vector<Question>& questions);
  void OnReady(std::uint32_t revents);
  void Send();
  void Receive();
  void End(const absl::StatusOr<Testimony>& testimony);
  absl::StatusOr<Testimony> Judge(const std::string& answer) const;

  const std::string path_;
  EventLoop& loop_;
  const Clock& clock_;
  const std::uint64_t pid_namespace_;
  std::unique_ptr<Exchange> exchange_;
  std::vector<Question> waiting_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_WITNESS_SOCKET_WITNESS_H_
