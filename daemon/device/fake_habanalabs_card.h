// SPDX-License-Identifier: Apache-2.0
// For tests: a card as the habanalabs driver shows it, as strict as the driver, with any error on
// request. Memfds of this process stand for its open node and for dma-bufs: what is open is looked
// up among our descriptors, so whoever keeps one keeps the card.
#ifndef HLBUF_DAEMON_DEVICE_FAKE_HABANALABS_CARD_H_
#define HLBUF_DAEMON_DEVICE_FAKE_HABANALABS_CARD_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/device/habanalabs_uapi.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

enum class HlCall {
  kOpenCompute,
  kOpenControl,
  kInfo,  // any question
  kRegisterEventfd,
  kGetEvents,
  kAlloc,
  kFree,
  kMap,
  kUnmap,
  kExport,
};

// What a card is.
struct HlCard {
  std::string pci = "0000:19:00.0";
  std::string type = "GAUDI2";
  std::string driver = "habanalabs";
  std::uint32_t module_id = 0;
  std::optional<std::uint32_t> module_id_at_control;  // where the control node is another card's
  bool legacy = false;  // hlN and magic 'H', with the rules of kernels before 6.7
  bool is_61 = false;   // and no export of virtual memory
  std::uint64_t dram_base = 0x20000000;
  std::uint64_t driver_pages = 8;
  std::optional<std::uint64_t> bar_bytes;
};

class FakeHabanalabsCard : public HlCard {
 public:
  static constexpr std::uint64_t kPage = 4096;
  static constexpr std::uint64_t kDriverPage = 1 << 20;

  explicit FakeHabanalabsCard(HlCard card) : HlCard(std::move(card)) {}

  // What state it is in.
  hl::Status status = hl::kOperational;
  std::uint32_t hard_resets = 3;
  std::uint64_t events = 0;
  bool in_release = false;
  bool scrubs = false;

  // The next `times` calls fail with `error` (errno), later ones work.
  void Fail(HlCall call, int error, int times = 1) { failures_[call] = {error, times}; }

  // Each: 0, or -1 and errno.
  int OpenCompute(ino_t node);
  int OpenControl();
  int Info(bool control, hl::InfoArgs& args);
  int Memory(hl::MemoryArgs& args);
  // As the driver announces something: in the event bits, and by the registered eventfd.
  void Raise(std::uint64_t event_bits);
  // As sysfs' hard_reset. Begins at once and ends with FinishReset().
  void HardReset();
  void FinishReset();
  bool InUse();

  struct Export {
    ino_t inode;
    std::uint64_t address;
    std::uint64_t size_bytes;
    std::uint64_t offset;
    std::string found;  // marks of earlier users, each once
  };
  std::vector<Export> exports;   // all that ever were, in order
  char mark = 'x';               // what whoever gets an export now leaves there
  std::vector<std::string> log;  // "ALLOC", "MAP", ...
  bool opener_was_killed = false;
  bool page_order_is_reversed = false;  // which page ALLOC takes next: the driver does not tell

 private:
  struct Failure {
    int error = 0;
    int times = 0;
  };
  bool is_gaudi() const { return type == "GAUDI"; }
  bool Fails(HlCall call);
  void Settle();  // notices what was closed
  void Release();
  std::uint64_t FreePages() const;
  int Alloc(std::uint64_t size_bytes, std::uint64_t& handle);
  int Free(std::uint64_t handle);
  int Map(std::uint64_t handle, std::uint64_t& address);
  int Unmap(std::uint64_t address);
  int ExportDmabuf(const hl::MemoryIn& in, std::int32_t& fd);
  // Where a range lies, in pages of kPage. Empty: EINVAL.
  std::vector<std::uint64_t> Place(const hl::MemoryIn& in) const;

  std::map<HlCall, Failure> failures_;
  std::optional<ino_t> user_;  // of the open compute node
  UniqueFd eventfd_;           // a copy of the registered one
  bool is_resetting_ = false;
  std::map<std::uint64_t, std::vector<std::uint64_t>> blocks_;  // by handle: pages of the driver
  std::map<std::uint64_t, std::uint64_t> mappings_;             // address to handle
  std::map<ino_t, std::uint64_t> live_;                         // exports: to their address
  std::uint64_t next_handle_ = 1;
  std::uint64_t next_address_ = 0x1001000000000000;
  std::string marks_;  // one for each page; 0: clean
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_FAKE_HABANALABS_CARD_H_
