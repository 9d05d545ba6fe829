// SPDX-License-Identifier: Apache-2.0
// usage: load_client SOCKET PLACE PEER_UID IMPORTER, with a LoadBoard as descriptor 3.
//
// A client that behaves well and is never still: it allocates, writes, shares, opens what others
// share, reads and compares, releases, and lets go of everything that is revoked. IMPORTER is the
// importer's device node; "-": there is none, and contents are not looked at.
#include <sys/mman.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "hlbuf/hlbuf.h"
#include "tests/card/load_board.h"
#include "tests/card/registrations.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kPagesMax = 8;
constexpr std::size_t kHeldMax = 6;
constexpr int kPauseMs = 20;

// What a buffer has to contain from its owner's write to its end.
std::vector<std::uint64_t> ContentsOf(std::uint64_t id, std::uint64_t size_bytes) {
  std::vector<std::uint64_t> words(size_bytes / sizeof(std::uint64_t));
  for (std::size_t i = 0; i < words.size(); ++i)
    words[i] = (id + 1) * 0x9e37'79b9'7f4a'7c15 ^ (i + 1);
  return words;
}

struct Held {
  hlbuf_buffer* buffer = nullptr;
  std::uint32_t registration = 0;
  bool own = false;
};

class LoadClient {
 public:
  LoadClient(LoadBoard& board, std::size_t place, std::uint32_t peer, const std::string& importer)
      : board_(board),
        place_(board.places[place]),
        peer_(peer),
        registrations_(importer),
        dice_(static_cast<unsigned>(place) + 1) {}
  ~LoadClient() { hlbuf_client_close(client_); }

  int Run(const char* socket) {
    if (!Connect(socket)) return 1;
    while (board_.command != LoadCommand::kEnd && place_.failed == 0) {
      if (board_.command == LoadCommand::kRest) {
        Rest();
      } else {
        place_.resting = 0;
        Step();
        Dispatch(0);
      }
    }
    ReleaseAll();
    return place_.failed == 0 && place_.mixed_up == 0 ? 0 : 1;
  }

 private:
  bool Connect(const char* socket) {
    hlbuf_connect_options options = {};
    options.struct_bytes = sizeof(options);
    options.socket_path = socket;
    options.client_name = "load";
    options.callbacks = {.on_revoke = OnRevoke, .on_goodbye = OnGoodbye, .context = this};
    return hlbuf_connect(&options, &client_, &error_) == HLBUF_OK || Failed("connect");
  }

  void Step() {
    const auto what = dice_() % 4;
    if (held_.size() >= kHeldMax || (what == 0 && !held_.empty()))
      Release(std::next(held_.begin(), static_cast<long>(dice_() % held_.size())));
    else if (what == 1)
      OpenOfAnother();
    else
      Allocate();
  }

  void Rest() {
    ReleaseAll();
    place_.resting = 1;
    Dispatch(kPauseMs);
  }

  void Allocate() {
    hlbuf_allocate_options options = {};
    options.struct_bytes = sizeof(options);
    options.size_bytes = (1 + dice_() % kPagesMax) * kPageBytes;
    hlbuf_buffer* buffer = nullptr;
    if (hlbuf_allocate(client_, &options, &buffer, &error_) != HLBUF_OK) return Refused("allocate");
    place_.allocated += 1;
    Held* held = Keep(buffer, /* own= */ true);
    if (held == nullptr) return;
    const std::uint64_t id = hlbuf_buffer_id(buffer);
    if (held->registration != 0 &&
        !registrations_.Write(held->registration, ContentsOf(id, hlbuf_buffer_size_bytes(buffer))))
      return static_cast<void>(FailedBySystem("write"));
    if (hlbuf_share(client_, id, HLBUF_GRANTEE_UID, peer_, &error_) != HLBUF_OK)
      return Refused("share");
    place_.offered = id;
  }

  void OpenOfAnother() {
    const std::uint64_t id = SomethingOffered();
    if (id == 0) return;
    hlbuf_buffer* buffer = nullptr;
    if (hlbuf_open_id(client_, id, &buffer, &error_) != HLBUF_OK) return Refused("open");
    place_.opened += 1;
    const Held* held = Keep(buffer, /* own= */ false);
    if (held != nullptr) Check(*held);
  }

  // By anybody, this client too; 0: there is nothing.
  std::uint64_t SomethingOffered() {
    std::vector<std::uint64_t> offers;
    for (const LoadPlace& place : board_.places)
      if (const std::uint64_t id = place.offered; id != 0) offers.push_back(id);
    return offers.empty() ? 0 : offers[dice_() % offers.size()];
  }

  // nullptr: it failed, which is said.
  Held* Keep(hlbuf_buffer* buffer, bool own) {
    Held& held = held_.emplace_back(Held{.buffer = buffer, .own = own});
    hlbuf_buffer_set_context(buffer, &held);
    if (!registrations_.are_possible()) return &held;
    held.registration =
        registrations_.Make(hlbuf_buffer_fd(buffer), hlbuf_buffer_size_bytes(buffer));
    if (held.registration == 0) FailedBySystem("register");
    return held.registration == 0 ? nullptr : &held;
  }

  void Check(const Held& held) {
    if (held.registration == 0) return;
    const std::uint64_t id = hlbuf_buffer_id(held.buffer);
    const auto wanted = ContentsOf(id, hlbuf_buffer_size_bytes(held.buffer));
    std::vector<std::uint64_t> seen(wanted.size());
    if (!registrations_.Read(held.registration, seen)) {
      FailedBySystem("read");
      return;
    }
    place_.checked += 1;
    if (seen != wanted) place_.mixed_up += 1;
  }

  void Release(std::list<Held>::iterator at) {
    Check(*at);
    LetGo(*at);
    hlbuf_buffer_release(at->buffer);
    held_.erase(at);
  }
  void ReleaseAll() {
    while (!held_.empty()) Release(held_.begin());
  }

  void LetGo(Held& held) {
    if (held.own && place_.offered == hlbuf_buffer_id(held.buffer)) place_.offered = 0;
    const std::uint32_t registration = std::exchange(held.registration, 0);
    if (registration != 0) registrations_.End(registration);
  }

  void Dispatch(int timeout_ms) {
    if (hlbuf_dispatch(client_, timeout_ms, &error_) != HLBUF_OK) Failed("dispatch");
    held_.remove_if([](const Held& held) {
      const bool over = hlbuf_buffer_fd(held.buffer) < 0;
      if (over) hlbuf_buffer_release(held.buffer);
      return over;
    });
  }

  static hlbuf_revoke_answer OnRevoke(void* self, const hlbuf_revocation* revocation) {
    auto* client = static_cast<LoadClient*>(self);
    client->place_.revoked += 1;
    auto* held = static_cast<Held*>(hlbuf_buffer_context(revocation->buffer));
    if (held != nullptr) client->LetGo(*held);
    return HLBUF_REVOKE_RELEASE;
  }
  static void OnGoodbye(void* self, const hlbuf_goodbye* goodbye) {
    auto* client = static_cast<LoadClient*>(self);
    client->Say(std::string("goodbye: ") + goodbye->text);
  }

  void Refused(const char* what) {
    switch (error_.code) {
      case HLBUF_E_DEVICE_UNAVAILABLE:
      case HLBUF_E_REVOKED:
        place_.unavailable += 1;
        return Dispatch(kPauseMs);
      case HLBUF_E_GONE:  // its owner released it, or its life of the card is over
        place_.gone += 1;
        return;
      default:
        Failed(what);
    }
  }

  bool Failed(const char* what) {
    Say(std::string(what) + ": " + hlbuf_error_name(error_.code) + " " + error_.text);
    return false;
  }
  bool FailedBySystem(const char* what) {
    Say(std::string(what) + ": " + std::strerror(errno));
    return false;
  }
  void Say(const std::string& why) {
    if (place_.failed == 0)
      std::snprintf(place_.first_failure.data(), place_.first_failure.size(), "%s", why.c_str());
    place_.failed += 1;
  }

  LoadBoard& board_;
  LoadPlace& place_;
  std::uint32_t peer_;
  Registrations registrations_;
  std::minstd_rand dice_;
  hlbuf_client* client_ = nullptr;
  hlbuf_error error_ = {};
  std::list<Held> held_;  // places stay: buffers point to them
};

}  // namespace
}  // namespace hlbuf

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: load_client SOCKET PLACE PEER_UID IMPORTER|-\n");
    return 2;
  }
  void* board = ::mmap(nullptr, sizeof(hlbuf::LoadBoard), PROT_READ | PROT_WRITE, MAP_SHARED,
                       /* fd= */ 3, 0);
  if (board == MAP_FAILED) {
    std::perror("load_client: the board");
    return 1;
  }
  return hlbuf::LoadClient(*static_cast<hlbuf::LoadBoard*>(board),
                           std::strtoul(argv[2], nullptr, 10),
                           static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10)), argv[4])
      .Run(argv[1]);
}
