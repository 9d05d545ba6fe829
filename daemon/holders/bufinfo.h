// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_HOLDERS_BUFINFO_H_
#define HLBUF_DAEMON_HOLDERS_BUFINFO_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hlbuf {

// What the kernel's debugfs says of one dma-buf.
struct BufinfoEntry {
  std::uint32_t count = 0;  // references, ours among them
  std::string exporter;     // printable
  std::vector<std::string> attached;
};

// Reads /sys/kernel/debug/dma_buf/bufinfo line by line, and keeps what it says of the inodes that
// are wanted. Lines that are not understood say nothing.
//
// Whoever has a dma-buf gives it a name of up to 31 bytes, any bytes, which stands in this text. So
// only a line whose first four numbers have their full 8 digits each is a new object: with the tabs
// between them that is more than a name has room for. Devices are those after the last "Attached
// Devices:" of an object, whose end is "Total N devices attached": no name has room for both.
class BufinfoReader {
 public:
  explicit BufinfoReader(std::set<std::uint64_t> wanted) : wanted_(std::move(wanted)) {}
  BufinfoReader(const BufinfoReader&) = delete;
  BufinfoReader& operator=(const BufinfoReader&) = delete;

  void Read(std::string_view line);  // without its end
  // By inode.
  std::map<std::uint64_t, BufinfoEntry>& objects() { return objects_; }

 private:
  const std::set<std::uint64_t> wanted_;
  std::map<std::uint64_t, BufinfoEntry> objects_;
  BufinfoEntry* current_ = nullptr;  // in objects_
  bool attached_ = false;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_HOLDERS_BUFINFO_H_
