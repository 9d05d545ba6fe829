// SPDX-License-Identifier: Apache-2.0
// usage: hl-bench-holders product|floor SOCKET SESSIONS, with a SOCK_SEQPACKET socket as standard
// input.
//
// One process with sessions that hold buffers and let go when they are asked. Each message on
// standard input is an array of buffer ids, a like part of it for each session; it is answered by
// one byte when all are held. Ends with the end of standard input.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/bench/die.h"
#include "tests/bench/floor.h"
#include "tests/bench/holders.h"
#include "tests/bench/product.h"

namespace hlbuf::bench {
namespace {

// One session that holds: what wakes it, and what it does then.
class Holder {
 public:
  virtual ~Holder() = default;
  virtual int fd() = 0;
  virtual void Hold(std::span<const std::uint64_t> buffers) = 0;
  virtual void OnReadable() = 0;
};

class ProductHolder final : public Holder {
 public:
  explicit ProductHolder(const std::string& socket) : session_(socket, &kCallbacks) {}

  int fd() override { return hlbuf_client_fd(session_.client(), nullptr); }
  void OnReadable() override { hlbuf_dispatch(session_.client(), 0, nullptr); }
  void Hold(std::span<const std::uint64_t> buffers) override {
    hlbuf_buffers_release(held_.data(), held_.size());
    std::vector<hlbuf_open_item> items;
    for (const std::uint64_t id : buffers) items.push_back({.buffer_id = id});
    std::vector<hlbuf_open_result> results(items.size());
    session_.OpenMany(items.data(), items.size(), results.data());
    held_.clear();
    for (const hlbuf_open_result& result : results) held_.push_back(result.buffer);
  }

 private:
  static hlbuf_revoke_answer LetGo(void*, const hlbuf_revocation*) { return HLBUF_REVOKE_RELEASE; }
  static constexpr hlbuf_callbacks kCallbacks = {.on_revoke = &LetGo};

  Session session_;
  std::vector<hlbuf_buffer*> held_;
};

// Holds nothing: it is there for the messages.
class FloorHolder final : public Holder {
 public:
  explicit FloorHolder(const std::string& socket) : session_(socket) {
    session_.Send({.verb = FloorVerb::kHold});
    session_.Receive();
  }

  int fd() override { return session_.socket(); }
  void OnReadable() override {
    session_.Receive();
    session_.Send({.verb = FloorVerb::kNotice});
  }
  void Hold(std::span<const std::uint64_t>) override {}

 private:
  FloorSession session_;
};

class Holders {
 public:
  Holders(const std::function<std::unique_ptr<Holder>()>& connect, std::size_t count)
      : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    Watch(STDIN_FILENO, kOrders);
    for (std::size_t i = 0; i < count; ++i) {
      holders_.push_back(connect());
      Watch(holders_.back()->fd(), i);
    }
  }

  void Run() {
    std::array<epoll_event, 64> events;
    for (;;) {
      const int n =
          ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), /* timeout= */ -1);
      for (int i = 0; i < n; ++i) {
        const std::uint64_t place = events[static_cast<std::size_t>(i)].data.u64;
        if (place != kOrders)
          holders_[place]->OnReadable();
        else if (!TakeOrder())
          return;
      }
    }
  }

 private:
  static constexpr std::uint64_t kOrders = UINT64_MAX;

  void Watch(int fd, std::uint64_t place) {
    epoll_event event = {.events = EPOLLIN, .data = {.u64 = place}};
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) DieErrno("epoll_ctl");
  }

  bool TakeOrder() {
    std::vector<std::uint64_t> ids(kOrderIdsMax);
    const ssize_t n = ::recv(STDIN_FILENO, ids.data(), ids.size() * sizeof(ids[0]), 0);
    if (n <= 0) return false;
    ids.resize(static_cast<std::size_t>(n) / sizeof(ids[0]));
    const std::size_t each = ids.size() / holders_.size();
    for (std::size_t i = 0; i < holders_.size(); ++i)
      holders_[i]->Hold(std::span(ids).subspan(i * each, each));
    const char held = 1;
    return ::send(STDIN_FILENO, &held, sizeof(held), MSG_NOSIGNAL) == sizeof(held);
  }

  int epoll_;
  std::vector<std::unique_ptr<Holder>> holders_;
};

std::unique_ptr<Holder> Connect(const std::string& kind, const std::string& socket) {
  if (kind == kProductKind) return std::make_unique<ProductHolder>(socket);
  return std::make_unique<FloorHolder>(socket);
}

}  // namespace
}  // namespace hlbuf::bench

int main(int argc, char** argv) {
  using namespace hlbuf::bench;
  if (argc != 4) Die("usage: hl-bench-holders product|floor SOCKET SESSIONS");
  const std::string kind = argv[1];
  const std::string socket = argv[2];
  Holders([&] { return Connect(kind, socket); }, std::strtoul(argv[3], nullptr, 10)).Run();
}
