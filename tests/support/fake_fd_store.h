// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_FAKE_FD_STORE_H_
#define HLBUF_TESTS_SUPPORT_FAKE_FD_STORE_H_

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "proto/wire/unique_fd.h"
#include "tests/support/child.h"

namespace hlbuf {

// A service manager that keeps descriptors as systemd 252 does, for this process: $NOTIFY_SOCKET
// leads to it while it lives.
class FakeFdStore {
 public:
  explicit FakeFdStore(std::size_t max = 16);
  ~FakeFdStore();
  FakeFdStore(const FakeFdStore&) = delete;
  FakeFdStore& operator=(const FakeFdStore&) = delete;

  // What lies there now, after all that was sent before: the newest first, as it is passed to the
  // next life.
  std::vector<std::string> Names();
  std::uint32_t Count() { return static_cast<std::uint32_t>(Names().size()); }
  // Duplicates of it.
  std::vector<std::pair<std::string, UniqueFd>> Passed();
  // What it was sent, as of sd_notify(3).
  std::vector<std::string> Told();
  // Whether it loses what it is told, as a message is lost.
  void Lose(bool loses);

 private:
  void Serve();
  void Take(const std::string& lines, std::vector<UniqueFd> fds);
  void Store(const std::string& name, UniqueFd fd);

  const std::size_t max_;
  const TemporaryDirectory directory_;
  UniqueFd socket_;
  std::mutex mutex_;
  std::vector<std::pair<std::string, UniqueFd>> stored_;
  std::vector<std::string> told_;
  bool loses_ = false;
  bool ends_ = false;
  std::thread thread_;  // last: it uses the above
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_FAKE_FD_STORE_H_
