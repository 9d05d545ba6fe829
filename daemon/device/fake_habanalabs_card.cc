// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/fake_habanalabs_card.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "proto/wire/unique_fd.h"

namespace hlbuf {
namespace {

int Refuse(int error) {
  errno = error;
  return -1;
}

// Memfds have a file system of their own, whose inodes mean nothing elsewhere.
std::set<ino_t> OpenMemfds() {
  const UniqueFd any(::memfd_create("any", MFD_CLOEXEC));
  struct stat memfd = {};
  std::set<ino_t> inodes;
  if (::fstat(any.get(), &memfd) != 0) return inodes;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    struct stat status = {};
    if (::stat(entry.path().c_str(), &status) == 0 && status.st_dev == memfd.st_dev)
      inodes.insert(status.st_ino);
  }
  return inodes;
}

bool IsOperational(hl::Status status) {
  return status == hl::kOperational || status == hl::kInDeviceCreation;
}

template <class T>
int Answer(const hl::InfoArgs& args, const T& value, std::size_t size_bytes = sizeof(T)) {
  std::memcpy(reinterpret_cast<void*>(args.return_pointer), &value,
              std::min<std::size_t>(size_bytes, args.return_size));
  return 0;
}

}  // namespace

bool FakeHabanalabsCard::Fails(HlCall call) {
  Failure& failure = failures_[call];
  if (failure.times == 0) return false;
  --failure.times;
  errno = failure.error;
  return true;
}

void FakeHabanalabsCard::Settle() {
  const std::set<ino_t> open = OpenMemfds();
  std::erase_if(live_, [&](const auto& entry) { return !open.contains(entry.first); });
  if (user_ && !open.contains(*user_) && live_.empty()) Release();
}

// The last reference to the open node is gone.
void FakeHabanalabsCard::Release() {
  user_.reset();
  eventfd_.Reset();
  events = 0;
  blocks_.clear();
  mappings_.clear();
  if (scrubs) marks_.clear();
}

bool FakeHabanalabsCard::InUse() {
  Settle();
  return user_.has_value();
}

int FakeHabanalabsCard::OpenCompute(ino_t node) {
  Settle();
  if (Fails(HlCall::kOpenCompute)) return -1;
  if (status == hl::kMalfunction || status == hl::kNeedsReset) return Refuse(EPERM);
  if (!IsOperational(status) || in_release) return Refuse(EAGAIN);
  if (user_) return Refuse(EBUSY);
  user_ = node;
  log.push_back("OPEN");
  return 0;
}

void FakeHabanalabsCard::Raise(std::uint64_t event_bits) {
  events |= event_bits;
  if (eventfd_) (void)::eventfd_write(eventfd_.get(), 1);
}

int FakeHabanalabsCard::OpenControl() {
  if (Fails(HlCall::kOpenControl)) return -1;
  return status == hl::kMalfunction ? Refuse(EPERM) : 0;
}

int FakeHabanalabsCard::Info(bool control, hl::InfoArgs& args) {
  Settle();
  if (Fails(HlCall::kInfo)) return -1;
  if (args.pad != 0) return Refuse(EINVAL);
  switch (args.op) {
    case hl::kInfoHwIp: {
      hl::HwIp info = {};
      info.dram_base_address = is_gaudi() ? dram_base : 0x1001500000000000;
      info.dram_size = driver_pages * kDriverPage;
      info.module_id = control ? module_id_at_control.value_or(module_id) : module_id;
      info.dram_enabled = 1;
      info.dram_page_size = kDriverPage;
      info.device_mem_alloc_default_page_size = is_gaudi() ? 0 : kDriverPage;
      return Answer(args, info, is_61 ? hl::kHwIpBytesIn61 : sizeof(info));
    }
    case hl::kInfoDramUsage:
      return Answer(args,
                    hl::DramUsage{.dram_free_mem = FreePages() * kDriverPage,
                                  .ctx_dram_mem = (driver_pages - FreePages()) * kDriverPage});
    case hl::kInfoDeviceStatus:
      return Answer(args, hl::DeviceStatus{.status = status});
    case hl::kInfoResetCount:
      return Answer(args, hl::ResetCount{.hard_reset_cnt = hard_resets});
    case hl::kInfoOpenStats:
      return Answer(args, hl::OpenStats{.is_compute_ctx_active = user_.has_value(),
                                        .compute_ctx_in_release = in_release});
    case hl::kInfoGetEvents: {
      if (Fails(HlCall::kGetEvents)) return -1;
      if (control) return Refuse(EOPNOTSUPP);
      const std::uint64_t seen = events;
      events = 0;
      return Answer(args, seen);
    }
    case hl::kInfoRegisterEventfd:
      if (Fails(HlCall::kRegisterEventfd)) return -1;
      if (control) return Refuse(EOPNOTSUPP);
      if (!IsOperational(status)) return Refuse(EBUSY);
      if (eventfd_) return Refuse(EINVAL);
      eventfd_.Reset(::fcntl(static_cast<int>(args.argument), F_DUPFD_CLOEXEC, 0));
      return 0;
    default:
      return Refuse(EINVAL);
  }
}

int FakeHabanalabsCard::Memory(hl::MemoryArgs& args) {
  Settle();
  const hl::MemoryIn in = args.in;
  std::memset(&args, 0xee, sizeof(args));  // `in` does not survive the call
  args.out = {};
  switch (in.op) {
    case hl::kMemoryAlloc:
      log.push_back("ALLOC");
      return Alloc(in.alloc.mem_size, args.out.handle);
    case hl::kMemoryFree:
      log.push_back("FREE");
      return Free(in.free.handle);
    case hl::kMemoryMap:
      log.push_back("MAP");
      return Map(in.map_device.handle, args.out.device_virt_addr);
    case hl::kMemoryUnmap:
      log.push_back("UNMAP");
      return Unmap(in.unmap.device_virt_addr);
    case hl::kMemoryExportDmabufFd:
      log.push_back("EXPORT");
      args.out.fd = -EBADF;
      return ExportDmabuf(in, args.out.fd);
    default:
      return Refuse(ENOTTY);
  }
}

std::uint64_t FakeHabanalabsCard::FreePages() const {
  std::uint64_t free = driver_pages;
  for (const auto& [handle, pages] : blocks_) free -= pages.size();
  return free;
}

int FakeHabanalabsCard::Alloc(std::uint64_t size_bytes, std::uint64_t& handle) {
  if (Fails(HlCall::kAlloc)) return -1;
  if (!IsOperational(status)) return Refuse(EBUSY);
  if (is_gaudi()) return 0;
  const std::uint64_t wanted = (size_bytes + kDriverPage - 1) / kDriverPage;
  if (wanted > FreePages()) return Refuse(ENOMEM);
  std::set<std::uint64_t> taken;
  for (const auto& [other, pages] : blocks_) taken.insert(pages.begin(), pages.end());
  std::vector<std::uint64_t> got;
  for (std::uint64_t i = 0; i < driver_pages && got.size() < wanted; ++i) {
    const std::uint64_t page = page_order_is_reversed ? driver_pages - 1 - i : i;
    if (!taken.contains(page)) got.push_back(page);
  }
  handle = next_handle_++;
  blocks_[handle] = got;
  return 0;
}

int FakeHabanalabsCard::Free(std::uint64_t handle) {
  if (Fails(HlCall::kFree)) return -1;
  for (const auto& [address, mapped] : mappings_)
    if (mapped == handle) return Refuse(EINVAL);
  return blocks_.erase(handle) == 1 ? 0 : Refuse(EINVAL);
}

int FakeHabanalabsCard::Map(std::uint64_t handle, std::uint64_t& address) {
  if (Fails(HlCall::kMap)) return -1;
  if (!IsOperational(status)) return Refuse(EBUSY);
  if (!blocks_.contains(handle)) return Refuse(EINVAL);
  address = next_address_;
  next_address_ += std::uint64_t{1} << 30;
  mappings_[address] = handle;
  return 0;
}

int FakeHabanalabsCard::Unmap(std::uint64_t address) {
  if (Fails(HlCall::kUnmap)) return -1;
  for (const auto& [inode, from] : live_)
    if (from == address) return Refuse(EINVAL);
  return mappings_.erase(address) == 1 ? 0 : Refuse(EINVAL);
}

std::vector<std::uint64_t> FakeHabanalabsCard::Place(const hl::MemoryIn& in) const {
  const auto [address, size, offset] = in.export_dmabuf_fd;
  std::vector<std::uint64_t> driver_pages_used;
  std::uint64_t begin = legacy ? 0 : offset;  // before 6.7 the offset was checked and forgotten
  if (is_gaudi()) {
    if (offset != 0 || address < dram_base ||
        address + size > dram_base + driver_pages * kDriverPage)
      return {};
    begin = address - dram_base;
    for (std::uint64_t i = 0; i < driver_pages; ++i) driver_pages_used.push_back(i);
  } else {
    const auto mapping = mappings_.find(address);
    if (mapping == mappings_.end()) return {};
    driver_pages_used = blocks_.at(mapping->second);
    if (offset + size > driver_pages_used.size() * kDriverPage) return {};
  }
  std::vector<std::uint64_t> pages;
  for (std::uint64_t at = begin; at < begin + size; at += kPage)
    pages.push_back((driver_pages_used[at / kDriverPage] * kDriverPage + at % kDriverPage) / kPage);
  const auto hidden = [&](std::uint64_t page) {
    return bar_bytes && (page + 1) * kPage > *bar_bytes;
  };
  return std::any_of(pages.begin(), pages.end(), hidden) ? std::vector<std::uint64_t>() : pages;
}

int FakeHabanalabsCard::ExportDmabuf(const hl::MemoryIn& in, std::int32_t& fd) {
  if (Fails(HlCall::kExport)) return -1;
  if (!IsOperational(status)) return Refuse(EBUSY);
  if (is_61 && !is_gaudi()) return Refuse(EOPNOTSUPP);
  const auto [address, size, offset] = in.export_dmabuf_fd;
  if (address % kPage != 0 || size == 0 || size % kPage != 0 || offset % kPage != 0 ||
      in.flags != (O_RDWR | O_CLOEXEC))
    return Refuse(EINVAL);
  const std::vector<std::uint64_t> pages = Place(in);
  if (pages.empty()) return Refuse(EINVAL);
  marks_.resize(driver_pages * kDriverPage / kPage);
  std::set<char> found;
  for (const std::uint64_t page : pages) {
    if (marks_[page] != 0) found.insert(marks_[page]);
    marks_[page] = mark;
  }
  fd = ::memfd_create("fake-dmabuf", MFD_CLOEXEC);
  struct stat status_of_it = {};
  if (::ftruncate(fd, static_cast<off_t>(size)) != 0 || ::fstat(fd, &status_of_it) != 0) return -1;
  live_[status_of_it.st_ino] = address;
  exports.push_back({.inode = status_of_it.st_ino,
                     .address = address,
                     .size_bytes = size,
                     .offset = offset,
                     .found = std::string(found.begin(), found.end())});
  return 0;
}

void FakeHabanalabsCard::HardReset() {
  Settle();
  opener_was_killed = user_.has_value();
  is_resetting_ = true;
  status = hl::kInReset;
  log.push_back("HARD_RESET");
}

void FakeHabanalabsCard::FinishReset() {
  if (!is_resetting_) return;
  is_resetting_ = false;
  ++hard_resets;
  status = hl::kOperational;
  if (scrubs) marks_.clear();
}

}  // namespace hlbuf
