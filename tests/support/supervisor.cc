// SPDX-License-Identifier: Apache-2.0
#include "tests/support/supervisor.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <map>

#include "absl/strings/str_split.h"

namespace hlbuf {
namespace {

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  EXPECT_LT(path.size(), sizeof(address.sun_path)) << path;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

UniqueFd BoundUnixSocket(const std::string& path, int type, mode_t mode) {
  ::unlink(path.c_str());
  UniqueFd socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  const sockaddr_un address = AddressOf(path);
  EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0)
      << path << ": " << std::strerror(errno);
  EXPECT_EQ(::chmod(path.c_str(), mode), 0) << path;
  return socket;
}

std::map<std::string, std::string> FieldsOf(const std::string& text) {
  std::map<std::string, std::string> fields;
  for (const auto& line : absl::StrSplit(text, '\n'))
    fields.insert(absl::StrSplit(line, absl::MaxSplits('=', 1)));
  return fields;
}

}  // namespace

UniqueFd ListeningUnixSocket(const std::string& path, int type, mode_t mode, gid_t group) {
  constexpr int kBacklog = 4096;
  UniqueFd socket = BoundUnixSocket(path, type, mode);
  EXPECT_EQ(::lchown(path.c_str(), static_cast<uid_t>(-1), group), 0) << path;
  EXPECT_EQ(::listen(socket.get(), kBacklog), 0) << path;
  return socket;
}

Supervisor::Supervisor(SupervisedService service)
    : service_(std::move(service)),
      // The service may be another user.
      notify_(BoundUnixSocket(service_.notify_path, SOCK_DGRAM, 0666)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      stored_(service_.stored_max),
      thread_([this] { Run(); }) {
  service_.program.environment.push_back("NOTIFY_SOCKET=" + service_.notify_path);
  // What a service leaves behind is this process's, as it would be the first one's.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

Supervisor::~Supervisor() {
  {
    const std::lock_guard lock(mutex_);
    finishes_ = true;
  }
  Wake();
  thread_.join();
}

void Supervisor::Start() {
  {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(ends_.size(), static_cast<std::size_t>(lives_)) << "it runs still";
    stops_ = false;
    Launch();
  }
  Wake();
}

void Supervisor::SetEnvironmentOfNext(std::vector<std::string> environment) {
  const std::lock_guard lock(mutex_);
  environment_of_next_ = std::move(environment);
}

void Supervisor::Launch() {
  Program program = service_.program;
  for (std::string& variable : std::exchange(environment_of_next_, {}))
    program.environment.push_back(std::move(variable));
  for (const auto& [name, fd] : service_.sockets) program.passed.emplace_back(name, fd.get());
  for (const auto& [name, fd] : stored_.All()) program.passed.emplace_back(name, fd);
  program.appends = lives_ > 0;
  ready_ = false;
  ++lives_;
  child_ = std::make_unique<Child>(program);
  changed_.notify_all();
}

void Supervisor::Wake() const { static_cast<void>(::eventfd_write(wake_.get(), 1)); }

void Supervisor::Run() {
  for (;;) {
    std::vector<pollfd> fds = {{.fd = notify_.get(), .events = POLLIN, .revents = 0},
                               {.fd = wake_.get(), .events = POLLIN, .revents = 0},
                               {.fd = service_.listening.get(), .events = POLLIN, .revents = 0}};
    {
      const std::lock_guard lock(mutex_);
      if (finishes_) return;
      if (!reads_) fds[0].fd = -1;
      const bool runs = child_ != nullptr && ends_.size() < static_cast<std::size_t>(lives_);
      fds.push_back({.fd = runs ? child_->pidfd() : -1, .events = POLLIN, .revents = 0});
      for (const pollfd& polled : stored_.Polled()) fds.push_back(polled);
    }
    ::poll(fds.data(), fds.size(), -1);
    eventfd_t count = 0;
    static_cast<void>(::eventfd_read(wake_.get(), &count));
    const std::lock_guard lock(mutex_);
    if (reads_) ReadNotifications();  // what it said before it ended comes first
    stored_.RemoveHungUp();
    if (fds[2].revents != 0) Accept();
    if (fds[3].revents != 0) OnEnd();
  }
}

void Supervisor::ReadNotifications() {
  while (ReceivePacket(notify_.get(), packet_).ok()) {
    const std::string text(reinterpret_cast<const char*>(packet_.bytes().data()),
                           packet_.bytes().size());
    Take(text, packet_.fds());
  }
  packet_.fds().clear();
}

void Supervisor::Take(const std::string& text, std::vector<UniqueFd>& fds) {
  const std::map<std::string, std::string> fields = FieldsOf(text);
  const auto is = [&](const std::string& key, const std::string& value) {
    const auto found = fields.find(key);
    return found != fields.end() && found->second == value;
  };
  const auto name = fields.find("FDNAME");
  if (is("FDSTORE", "1"))
    for (UniqueFd& fd : fds)
      stored_.Add(name != fields.end() ? name->second : "stored", std::move(fd),
                  !is("FDPOLL", "0"));
  if (is("FDSTOREREMOVE", "1") && name != fields.end()) stored_.Remove(name->second);
  if (is("BARRIER", "1")) fds.clear();  // whose closing is the answer
  if (const auto status = fields.find("STATUS"); status != fields.end()) status_ = status->second;
  if (is("READY", "1")) ready_ = true;
  changed_.notify_all();
}

void Supervisor::OnEnd() {
  ends_.push_back(child_->Wait().value_or(0));
  ready_ = false;
  if (stops_)
    stored_.Clear();
  else if (service_.restarts)
    Launch();
  changed_.notify_all();
}

void Supervisor::Accept() {
  const UniqueFd connection(::accept4(service_.listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) return;
  Program program = service_.accepted;
  program.channel = connection.get();
  accepted_.push_back(std::make_unique<Child>(program));
}

std::vector<pid_t> Supervisor::AcceptedPids() {
  const std::lock_guard lock(mutex_);
  std::vector<pid_t> pids;
  for (const auto& child : accepted_)
    if (child->RunsFor(0)) pids.push_back(child->pid());
  return pids;
}

bool Supervisor::BecomesReady(int life) {
  std::unique_lock lock(mutex_);
  const auto over = [&] { return lives_ > life || ends_.size() >= static_cast<std::size_t>(life); };
  const bool in_time = changed_.wait_for(lock, std::chrono::milliseconds(kPatienceMs),
                                         [&] { return over() || (lives_ == life && ready_); });
  EXPECT_TRUE(in_time) << "the service did not become ready";
  return in_time && !over();
}

bool Supervisor::HasEnded(int lives, int ms) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(ms),
                           [&] { return ends_.size() >= static_cast<std::size_t>(lives); });
}

std::vector<int> Supervisor::Ends() const {
  const std::lock_guard lock(mutex_);
  return ends_;
}

int Supervisor::lives() const {
  const std::lock_guard lock(mutex_);
  return lives_;
}

pid_t Supervisor::pid() const {
  const std::lock_guard lock(mutex_);
  return child_ != nullptr ? child_->pid() : -1;
}

void Supervisor::Signal(int signal) const {
  const std::lock_guard lock(mutex_);
  if (child_ != nullptr) child_->Signal(signal);
}

bool Supervisor::RunsFor(int ms) const {
  UniqueFd pidfd;
  {
    const std::lock_guard lock(mutex_);
    if (child_ == nullptr || ends_.size() >= static_cast<std::size_t>(lives_)) return false;
    pidfd = UniqueFd(::dup(child_->pidfd()));
  }
  pollfd p = {.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, ms) == 0;
}

void Supervisor::Kill() {
  const int life = lives();
  Signal(SIGKILL);
  EXPECT_TRUE(HasEnded(life)) << "it survived SIGKILL";
}

int Supervisor::Stop() {
  int life = 0;
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
    life = lives_;
    if (child_ != nullptr) child_->Signal(SIGTERM);
  }
  if (!HasEnded(life)) return -1;
  const int status = Ends().back();
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void Supervisor::SetReading(bool reads) {
  {
    const std::lock_guard lock(mutex_);
    reads_ = reads;
  }
  Wake();
}

std::vector<std::string> Supervisor::StoredNames() const {
  const std::lock_guard lock(mutex_);
  return stored_.Names();
}

void Supervisor::Store(const std::string& name, UniqueFd fd) {
  const std::lock_guard lock(mutex_);
  stored_.Add(name, std::move(fd), /* polled= */ false);
}

std::string Supervisor::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace hlbuf
