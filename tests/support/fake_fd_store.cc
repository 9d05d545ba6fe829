// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_fd_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/kcmp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace hlbuf {
namespace {

constexpr std::uint64_t kPatienceMicros = 20'000'000;
constexpr const char* kEnd = "END";

UniqueFd Bound(const std::string& path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {.sun_family = AF_UNIX};
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return socket;
}

// One message: its text, and what came along.
std::string Receive(int socket, std::vector<UniqueFd>& fds) {
  char text[4096];
  iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
  alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))];
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t n = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
  return {text, n > 0 ? static_cast<std::size_t>(n) : 0};
}

bool IsSameFile(int a, int b) {
  return ::syscall(SYS_kcmp, ::getpid(), ::getpid(), KCMP_FILE, a, b) == 0;
}

// "FDNAME=x\n..." has x.
std::string ValueIn(const std::string& lines, const std::string& key) {
  const std::size_t at = lines.find(key + "=");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + key.size() + 1;
  return lines.substr(begin, lines.find('\n', begin) - begin);
}

}  // namespace

FakeFdStore::FakeFdStore(std::size_t max) : max_(max) {
  const std::string path = directory_.path() + "/notify";
  socket_ = Bound(path);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  thread_ = std::thread([this] { Serve(); });
}

FakeFdStore::~FakeFdStore() {
  EXPECT_GT(::sd_notify(0, kEnd), 0);
  thread_.join();
  ::unsetenv("NOTIFY_SOCKET");
}

void FakeFdStore::Serve() {
  while (true) {
    std::vector<UniqueFd> fds;
    const std::string lines = Receive(socket_.get(), fds);
    if (lines == kEnd) return;
    const std::lock_guard lock(mutex_);
    Take(lines, std::move(fds));
  }
}

// Whatever it does not keep is closed: the pipe of BARRIER=1 at once, which is its answer.
void FakeFdStore::Take(const std::string& lines, std::vector<UniqueFd> fds) {
  if (lines.rfind("BARRIER=1", 0) == 0) return;
  told_.push_back(lines);
  if (loses_) return;
  const std::string name = ValueIn(lines, "FDNAME");
  if (!ValueIn(lines, "FDSTORE").empty() && fds.size() == 1) Store(name, std::move(fds.front()));
  if (!ValueIn(lines, "FDSTOREREMOVE").empty())
    stored_.erase(std::remove_if(stored_.begin(), stored_.end(),
                                 [&](const auto& entry) { return entry.first == name; }),
                  stored_.end());
}

void FakeFdStore::Store(const std::string& name, UniqueFd fd) {
  const bool has_it = std::any_of(stored_.begin(), stored_.end(), [&](const auto& entry) {
    return IsSameFile(entry.second.get(), fd.get());
  });
  if (!has_it && stored_.size() < max_) stored_.emplace(stored_.begin(), name, std::move(fd));
}

std::vector<std::string> FakeFdStore::Names() {
  EXPECT_GT(::sd_notify_barrier(0, kPatienceMicros), 0);
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, fd] : stored_) names.push_back(name);
  return names;
}

std::vector<std::pair<std::string, UniqueFd>> FakeFdStore::Passed() {
  EXPECT_GT(::sd_notify_barrier(0, kPatienceMicros), 0);
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, UniqueFd>> passed;
  for (const auto& [name, fd] : stored_)
    passed.emplace_back(name, UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)));
  return passed;
}

std::vector<std::string> FakeFdStore::Told() {
  EXPECT_GT(::sd_notify_barrier(0, kPatienceMicros), 0);
  const std::lock_guard lock(mutex_);
  return told_;
}

void FakeFdStore::Lose(bool loses) {
  EXPECT_GT(::sd_notify_barrier(0, kPatienceMicros), 0);  // what was told before is not lost
  const std::lock_guard lock(mutex_);
  loses_ = loses;
}

}  // namespace hlbuf
