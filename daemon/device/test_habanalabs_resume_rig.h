// SPDX-License-Identifier: Apache-2.0
// For habanalabs_resume_*test.cc: a card whose process is killed.
#ifndef HLBUF_DAEMON_DEVICE_TEST_HABANALABS_RESUME_RIG_H_
#define HLBUF_DAEMON_DEVICE_TEST_HABANALABS_RESUME_RIG_H_

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "daemon/device/test_habanalabs_rig.h"

namespace hlbuf {

class HabanalabsResumeRig : public HabanalabsExporterRig {
 protected:
  // As the journal has it.
  void Remember(const Allocation& allocation, const Domain& domain = kAlice) {
    buffers_.push_back({.size_bytes = allocation.size_bytes,
                        .window = allocation.window,
                        .inode = allocation.inode,
                        .domain = domain});
  }
  Allocation Kept(std::uint64_t size_bytes, const Domain& domain = kAlice) {
    Allocation made = Export(size_bytes, domain);
    Remember(made, domain);
    return made;
  }
  // The process is killed, with all its descriptors.
  void Kill() {
    exporter_.reset();
    MakeExporter();
  }
  absl::StatusOr<Resumed> TryResume() {
    card_->log.clear();
    return exporter_->Resume({.buffers = buffers_, .notes = notes_.all()});
  }
  Resumed Resume() {
    auto resumed = TryResume();
    EXPECT_TRUE(resumed.ok()) << resumed.status();
    return resumed.ok() ? *std::move(resumed) : Resumed();
  }
  Resumed KillAndResume() {
    Kill();
    return Resume();
  }
  // Its memory is gone, with these words; it can be opened again.
  void ExpectGone(const Resumed& resumed, const std::string& why) {
    EXPECT_TRUE(resumed.memory_is_gone);
    EXPECT_TRUE(absl::StrContains(resumed.lost, why)) << resumed.lost;
    ASSERT_EQ(resumed.fds.size(), buffers_.size());
    for (const UniqueFd& fd : resumed.fds) EXPECT_FALSE(fd);
    EXPECT_TRUE(kept_.empty());
    EXPECT_FALSE(card_->InUse());
    const absl::Status opened = exporter_->Open();
    EXPECT_TRUE(opened.ok()) << opened;
  }
  std::vector<Resumption::Buffer> buffers_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_TEST_HABANALABS_RESUME_RIG_H_
