// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_MEMORY_BACKEND_H_
#define HLBUF_TESTS_SUPPORT_MEMORY_BACKEND_H_

#include <sys/types.h>

#include <map>
#include <memory>

#include "daemon/base/event_loop.h"
#include "daemon/core/backend.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// What outlives the service: copies of the descriptors, by inode.
using KeptFds = std::map<ino_t, UniqueFd>;

// A device of memfds that another process of the service goes on with. Answers from the loop.
class MemoryBackend final : public Backend {
 public:
  MemoryBackend(EventLoop& loop, KeptFds& kept) : loop_(loop), kept_(kept) {}
  ~MemoryBackend() override { *alive_ = false; }

  const BackendTraits& traits() const override { return traits_; }
  void Open(Done<absl::Status> done) override { Later(std::move(done), absl::OkStatus()); }
  void Resume(Resumption from, Done<absl::StatusOr<Resumed>> done) override;
  void Allocate(AllocationSpec spec, Done<absl::StatusOr<Allocation>> done) override;
  void CountReferences(std::vector<int> fds, Done<std::vector<std::uint32_t>> done) override {
    Later(std::move(done), std::vector<std::uint32_t>(fds.size()));
  }
  void Free(Allocation allocation, Done<absl::Status> done) override {
    kept_.erase(allocation.inode);
    Later(std::move(done), absl::OkStatus());
  }
  void Reset(Drill, Done<absl::Status> done) override { Later(std::move(done), absl::OkStatus()); }

 private:
  template <class T>
  void Later(Done<T> done, T result) {
    loop_.Post([alive = alive_, done = std::move(done), result = std::move(result)]() mutable {
      if (*alive) std::move(done)(std::move(result));
    });
  }

  const BackendTraits traits_ = {.kind = "memory",
                                 .buffer_bytes_max = 1 << 30,
                                 .cpu_map = true,
                                 .simulated = true,
                                 .can_drill = true};
  EventLoop& loop_;
  KeptFds& kept_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_MEMORY_BACKEND_H_
