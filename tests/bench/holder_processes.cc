// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>

#include <array>
#include <utility>

#include "tests/bench/die.h"
#include "tests/bench/holders.h"

namespace hlbuf::bench {

HolderProcesses::HolderProcesses(const Paths& paths, const std::string& kind,
                                 const std::string& socket, std::size_t processes,
                                 std::size_t sessions) {
  for (std::size_t i = 0; i < processes; ++i) {
    std::array<int, 2> ends;
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
      DieErrno("socketpair");
    UniqueFd ours(ends[0]);
    const UniqueFd theirs(ends[1]);
    Child child({.arguments = {paths.holders, kind, socket, std::to_string(sessions / processes)},
                 .environment = {},
                 .descriptor = theirs.get(),
                 .log = paths.Fresh(".log")});
    processes_.push_back({.orders = std::move(ours), .child = std::move(child)});
  }
}

void HolderProcesses::Hold(std::span<const std::uint64_t> ids) {
  const std::size_t each = ids.size() / processes_.size();
  for (std::size_t i = 0; i < processes_.size(); ++i)
    if (::send(processes_[i].orders.get(), ids.data() + i * each, each * sizeof(ids[0]),
               MSG_NOSIGNAL) < 0)
      DieErrno("holders: " + processes_[i].child.Log());
  for (const Process& process : processes_) {
    char held = 0;
    if (::recv(process.orders.get(), &held, sizeof(held), 0) != sizeof(held))
      Die("holders: " + process.child.Log());
  }
}

}  // namespace hlbuf::bench
