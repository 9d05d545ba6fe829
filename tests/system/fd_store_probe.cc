// SPDX-License-Identifier: Apache-2.0
// A service that does nothing but store: fd_store_probe NAME... takes each name from its last life,
// or stores a new memfd under it, removes all others, and says in its status how that went. +NAME
// stores a new one in the place of what is there; NAME=OTHER stores what NAME is as OTHER, too.
#include <poll.h>
#include <sys/mman.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/event_loop.h"
#include "daemon/fd_store.h"
#include "daemon/notify_socket.h"
#include "daemon/passed_descriptors.h"

namespace {

// The process that made it, as it wrote there.
std::string WriterOf(int memfd) {
  char text[32] = {};
  return ::pread(memfd, text, sizeof(text) - 1, 0) > 0 ? text : "?";
}

hlbuf::UniqueFd NewMemfd(const std::string& name) {
  hlbuf::UniqueFd memfd(::memfd_create(name.c_str(), MFD_CLOEXEC));
  const std::string writer = std::to_string(::getpid());
  return ::pwrite(memfd.get(), writer.data(), writer.size(), 0) < 0 ? hlbuf::UniqueFd()
                                                                    : std::move(memfd);
}

std::string Push(hlbuf::FdStore& store, const std::string& name, const hlbuf::UniqueFd& fd) {
  const absl::Status pushed = store.Push(name, fd.get());
  return absl::StrCat(name, " new", pushed.ok() ? "" : absl::StrCat(": ", pushed.message()));
}

std::string TakeOrStore(hlbuf::FdStore& store, const std::string& argument) {
  if (argument[0] == '+') {
    const std::string name = argument.substr(1);
    store.Take(name).reset();
    if (!store.Remove(name).ok()) return "cannot remove";
    return Push(store, name, NewMemfd(name));
  }
  const std::size_t equals = argument.find('=');
  const std::string name = argument.substr(0, equals);
  if (const auto came = store.Take(name)) return absl::StrCat(name, " of ", WriterOf(came->get()));
  const hlbuf::UniqueFd memfd = NewMemfd(name);
  std::string said = Push(store, name, memfd);
  if (equals != std::string::npos)
    absl::StrAppend(&said, "; ", Push(store, argument.substr(equals + 1), memfd));
  return said;
}

}  // namespace

int main(int argc, char** argv) {
  absl::StatusOr<hlbuf::PassedDescriptors> passed = hlbuf::PassedDescriptors::Adopt();
  if (!passed.ok()) return 1;
  for (const char* const socket : {"clients", "control"}) passed->Take(socket);
  const hlbuf::BootClock clock;
  hlbuf::NotifySocket notify(clock);
  hlbuf::FdStore store(notify, *std::move(passed));
  std::string status;
  for (int i = 1; i < argc; ++i) absl::StrAppend(&status, TakeOrStore(store, argv[i]), "; ");
  for (const std::string& name : store.RemoveUntaken())
    absl::StrAppend(&status, name, " removed; ");
  const auto verification = store.Verification();
  for (; !notify.idle(); notify.RunDeadlines()) ::poll(nullptr, 0, 1);
  const absl::Status verified = verification();
  absl::StrAppend(&status, verified.ok() ? "verified" : verified.message());
  ::sd_notifyf(0, "READY=1\nSTATUS=%s", status.c_str());
  ::pause();
  return 0;
}
