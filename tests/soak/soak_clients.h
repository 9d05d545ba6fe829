// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SOAK_SOAK_CLIENTS_H_
#define HLBUF_TESTS_SOAK_SOAK_CLIENTS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proto/wire/unique_fd.h"
#include "tests/soak/board.h"
#include "tests/support/child.h"

namespace hlbuf {

// Processes of two users, by turns, that use the service without a pause (client.h). They end with
// this object.
class SoakClients {
 public:
  struct Options {
    std::size_t count = kSoakClientsMax;
    std::string client_socket;
    gid_t gid = 0;  // of those who may use it
    std::string importer = "-";
    std::string directory;  // for client-NN.jsonl; all users can write there
  };
  // Needs root.
  explicit SoakClients(const Options& options);
  ~SoakClients();
  SoakClients(const SoakClients&) = delete;
  SoakClients& operator=(const SoakClients&) = delete;

  std::uint64_t Grants() const { return Sum(&SoakPlace::grants); }
  std::uint64_t Revoked() const { return Sum(&SoakPlace::revoked); }
  std::uint64_t Held() const { return Sum(&SoakPlace::held); }

  // A buffer that one of them offers to the others; 0: there is none.
  std::uint64_t Offered() const;

  // Until they have got so many more grants, all together, or `over`; false: they did not in time,
  // or one has failed.
  bool Work(std::uint64_t grants, const std::function<bool()>& over = nullptr);
  // Until each of them does what it is told; kRun has begun when this returns, too.
  bool Tell(SoakCommand command);
  // Until all have ended; whether that was well.
  bool End();
  // Of those that failed; empty: none did.
  std::string Failures() const;

 private:
  std::uint64_t Sum(std::atomic<std::uint64_t> SoakPlace::*number) const;

  UniqueFd file_;
  SoakBoard* board_;
  std::vector<std::unique_ptr<Child>> clients_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SOAK_SOAK_CLIENTS_H_
