// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_CARD_LOAD_H_
#define HLBUF_TESTS_CARD_LOAD_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proto/wire/unique_fd.h"
#include "tests/card/load_board.h"
#include "tests/support/child.h"

namespace hlbuf {

// What all clients of a load did together, so far.
struct LoadTotals {
  std::uint64_t allocated = 0, opened = 0, checked = 0, revoked = 0, unavailable = 0, gone = 0;
  std::uint64_t mixed_up = 0, failed = 0;
  std::uint64_t grants() const { return allocated + opened; }
  std::string Text() const;
};

// Processes of two users, by turns, that never stop using the service; see load_client.cc. They end
// with this object.
class Load {
 public:
  // `importer`: its node, which all users may open then; empty: there is none. Needs root.
  Load(const std::string& client_socket, std::size_t clients, const std::string& importer);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  LoadTotals Totals() const;
  // Until they have got that many more grants, all together; false: they did not in time, or one
  // has failed.
  bool Works(std::uint64_t grants);
  // Until nobody holds anything; they wait for Continue().
  bool Rests();
  void Continue() { board_->command = LoadCommand::kRun; }
  // Expects that all of them end, and well.
  void End();
  // Of the clients that failed; empty: none did.
  std::string Failures() const;

 private:
  UniqueFd file_;
  LoadBoard* board_;
  std::vector<std::unique_ptr<Child>> clients_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_CARD_LOAD_H_
