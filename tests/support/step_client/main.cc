// SPDX-License-Identifier: Apache-2.0
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/wire/packet.h"
#include "tests/support/step_client/steps.h"

namespace hlbuf {
namespace {

constexpr int kChannel = 3;

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "step_client: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

std::optional<Step> NextStep(int channel, PacketBuffer& in) {
  pollfd p = {.fd = channel, .events = POLLIN, .revents = 0};
  while (::poll(&p, 1, -1) < 0)
    if (errno != EINTR) Die("poll");
  if (!ReceivePacket(channel, in).ok()) return std::nullopt;
  const std::string packet(reinterpret_cast<const char*>(in.bytes().data()), in.bytes().size());
  const std::size_t end = packet.find('\n');
  Step step;
  step.words = absl::StrSplit(packet.substr(0, end), ' ');
  step.bytes = packet.substr(end + 1);
  if (!in.fds().empty()) step.fd = std::move(in.fds().front());
  return step;
}

void Tell(int channel, const Outcome& outcome) {
  const std::string packet =
      absl::StrCat(outcome.ok ? "ok " : "failed ", outcome.words, "\n", outcome.bytes);
  const std::vector<int> fds(outcome.fd ? 1 : 0, outcome.fd.get());
  if (!SendPacket(channel, {reinterpret_cast<const std::byte*>(packet.data()), packet.size()}, fds)
           .ok())
    Die("answer");
}

class Server {
 public:
  explicit Server(UniqueFd channel) : channel_(std::move(channel)) {
    AddRawSteps(table_);
    AddLibrarySteps(table_);
  }

  // Until whoever commands has gone, or says so.
  int Run() {
    while (std::optional<Step> step = NextStep(channel_.get(), in_)) {
      const std::string& name = step->Word(0);
      if (name == "exit") return step->Int(1);
      if (name == "fork") {
        Fork(*step);
      } else if (name == "namespaces") {
        EnterNamespaces(step->Word(1), [this](pid_t pid) {
          Tell(channel_.get(), Done(absl::StrCat(pid)));
          channel_.Reset();
        });
      } else {
        const auto found = table_.find(name);
        Tell(channel_.get(),
             found == table_.end() ? Failed("no such step: " + name) : found->second(*step));
      }
    }
    return 0;
  }

 private:
  // The new process has everything that this one has, and a channel of its own.
  void Fork(Step& step) {
    const pid_t pid = ::fork();
    if (pid < 0) Die("fork");
    if (pid == 0)
      channel_ = std::move(step.fd);
    else
      Tell(channel_.get(), Done(absl::StrCat(pid)));
  }

  UniqueFd channel_;
  PacketBuffer in_;
  StepTable table_;
};

// uid gid[,group...]
void Become(const std::string& uid, const std::string& gids) {
  std::vector<gid_t> groups;
  for (const auto& gid : absl::StrSplit(gids, ','))
    groups.push_back(static_cast<gid_t>(std::strtoul(std::string(gid).c_str(), nullptr, 10)));
  const auto user = static_cast<uid_t>(std::strtoul(uid.c_str(), nullptr, 10));
  if (::setgroups(groups.size(), groups.data()) != 0) Die("setgroups");
  if (::setresgid(groups[0], groups[0], groups[0]) != 0) Die("setresgid");
  if (::setresuid(user, user, user) != 0) Die("setresuid");
  // A change of user ends what was asked of the kernel before exec(), and hides /proc/self.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_DUMPABLE, 1);
}

}  // namespace
}  // namespace hlbuf

int main(int argc, char** argv) {
  if (argc != 1 && argc != 3) {
    std::fprintf(stderr,
                 "usage: step_client [UID GID[,GROUP...]], with a socket as descriptor 3\n");
    return 2;
  }
  if (argc == 3) hlbuf::Become(argv[1], argv[2]);
  return hlbuf::Server(hlbuf::UniqueFd(hlbuf::kChannel)).Run();
}
