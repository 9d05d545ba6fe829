// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SOAK_CLIENT_H_
#define HLBUF_TESTS_SOAK_CLIENT_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "hlbuf/hlbuf.hpp"
#include "tests/card/registrations.h"
#include "tests/soak/board.h"
#include "tests/soak/memory.h"
#include "tests/soak/record.h"

namespace hlbuf {

struct SoakClientOptions {
  std::string socket_path;
  std::string record_path;
  std::string importer;    // node, or "-"
  std::size_t place = 0;   // on the board
  std::uint32_t peer = 0;  // the uid that it shares with
};

// A client that knows nothing of restarts: it allocates, writes, shares, opens what others share,
// reads, releases, lets go of everything that is revoked, and records what it asked and was
// answered. Whether that was right is for history_check.py to say; only what it cannot go on
// after fails here.
class SoakClient {
 public:
  SoakClient(const SoakClientOptions& options, SoakBoard& board);
  // Until the board says so; what the process ends with.
  int Run();

 private:
  struct Held {
    explicit Held(Buffer leased) : buffer(std::move(leased)) {}
    Buffer buffer;
    std::unique_ptr<Memory> memory;
    bool own = false;
    std::uint64_t writes = 0;
  };
  using Place = std::list<Held>::iterator;

  bool Connect();
  void Work();
  void Wait(SoakCommand command);
  void Step();
  void Dispatch(std::chrono::milliseconds timeout);
  void Sweep();

  void Allocate();
  void OpenOne();
  void OpenSome();
  void ShareOrNot(Held& held);
  void Write(Held& held);
  void Read(Held& held);
  void Release(Place place);
  void ReleaseAll();

  Held* Keep(Buffer buffer, bool own);
  void Opened(Line& line, Result<Buffer>& result);
  hlbuf_revoke_answer OnRevoke(const hlbuf_revocation& revocation);
  std::uint64_t SomethingOffered();
  Place Any();
  Held* AnyOfOwn();
  void Fail(const std::string& why);

  const SoakClientOptions options_;
  SoakBoard& board_;
  SoakPlace& place_;
  Record record_;
  Registrations registrations_;
  std::minstd_rand dice_;
  std::list<Held> held_;  // places stay: buffers point to them
  std::optional<Client> client_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SOAK_CLIENT_H_
