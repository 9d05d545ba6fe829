// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_PERSIST_SHARED_EPOCH_PAGE_H_
#define HLBUF_DAEMON_PERSIST_SHARED_EPOCH_PAGE_H_

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "daemon/core/epoch_page.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// The epoch page in a memfd that all clients map: of mode 0400, so that nobody but this service's
// user and root can open it for writing, whatever descriptor of it they have; and of a size that is
// sealed, so that nobody's mapping of it can fault. Writes are not sealed: the next process of this
// service goes on with it.
//
// Until Create() or Adopt() it has no slots.
class SharedEpochPage final : public EpochPage {
 public:
  static constexpr std::uint32_t kSlotsMax = 1U << 20;  // 8 MiB

  SharedEpochPage() = default;
  ~SharedEpochPage() override;
  SharedEpochPage(const SharedEpochPage&) = delete;
  SharedEpochPage& operator=(const SharedEpochPage&) = delete;

  // A new one. Errors: of the system calls; it has no slots then.
  absl::Status Create(std::uint32_t slots);
  // An earlier process's, as it left it. One that is not good enough says that nothing is current
  // from now on, to whoever has it still.
  //
  // Errors: DATA_LOSS            it is no epoch page, or its size can change
  //         FAILED_PRECONDITION  it has fewer slots
  //         and those of the system calls
  absl::Status Adopt(UniqueFd memory, std::uint32_t slots);

  std::uint32_t end() const override { return end_; }
  void Store(std::uint32_t slot, std::uint64_t value) override;

  // For clients; -1: there is none.
  int read_only() const { return read_only_.get(); }
  // For whoever keeps it for the next process. Once.
  UniqueFd TakeMemory() { return std::move(memory_); }

 private:
  absl::Status Map(std::uint32_t end);
  absl::Status OpenReadOnly();
  void Drop();

  UniqueFd memory_;
  UniqueFd read_only_;
  std::uint64_t* words_ = nullptr;
  std::uint32_t end_ = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_PERSIST_SHARED_EPOCH_PAGE_H_
