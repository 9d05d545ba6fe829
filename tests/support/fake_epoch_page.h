// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_FAKE_EPOCH_PAGE_H_
#define HLBUF_TESTS_SUPPORT_FAKE_EPOCH_PAGE_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "daemon/core/epoch_page.h"
#include "daemon/core/ids.h"

namespace hlbuf {

// An epoch page that a test looks into.
class FakeEpochPage final : public EpochPage {
 public:
  explicit FakeEpochPage(std::uint32_t slots) : words(kFirstSlot + slots) {}

  std::uint32_t end() const override { return static_cast<std::uint32_t>(words.size()); }
  void Store(std::uint32_t slot, std::uint64_t value) override { words.at(slot) = value; }

  bool HasCurrent(BufferId buffer) const {
    return std::find(words.begin(), words.end(), buffer.value) != words.end();
  }

  std::vector<std::uint64_t> words;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_FAKE_EPOCH_PAGE_H_
