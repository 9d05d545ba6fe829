// SPDX-License-Identifier: Apache-2.0
// For tests: keepers that live in this process, and outlive exporters.
#ifndef HLBUF_DAEMON_DEVICE_FAKE_KEEPING_H_
#define HLBUF_DAEMON_DEVICE_FAKE_KEEPING_H_

#include <fcntl.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/device/device_opener.h"
#include "daemon/device/host_memory_exporter.h"

namespace hlbuf {

// What the keeper of a device has.
struct KeptFiles {
  std::multimap<std::uint64_t, UniqueFd> files;
  bool there = false;  // a keeper lives
  int begun = 0;       // so many of them
  absl::Status begin;  // what the next one says
  absl::Status resume;
  absl::Status keep;
  // What was told: that a keeper died, that not all is kept, that all is.
  std::vector<std::string> lost, unkept, all;
};

class FakeOpener final : public DeviceOpener {
 public:
  explicit FakeOpener(KeptFiles& kept) : kept_(kept) {}

  absl::StatusOr<UniqueFd> Open(const std::string& path) override {
    return absl::NotFoundError(path);
  }
  absl::Status Keep(std::uint64_t id, int fd) override {
    if (!kept_.keep.ok()) return std::exchange(kept_.keep, absl::OkStatus());
    if (kept_.there) kept_.files.emplace(id, ::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    return absl::OkStatus();
  }
  absl::Status Drop(absl::Span<const std::uint64_t> ids) override {
    for (const std::uint64_t id : ids) kept_.files.erase(id);
    return absl::OkStatus();
  }
  bool Died() const override { return began_ && !kept_.there; }
  std::string End() override {
    if (std::exchange(began_, false)) kept_.files.clear();
    return "process 7 killed by SIGKILL";
  }
  absl::Status Begin() override {
    if (!kept_.begin.ok()) return kept_.begin;
    kept_.files.clear();
    ++kept_.begun;
    kept_.there = began_ = true;
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<KeptCopy>> Resume() override {
    if (!kept_.resume.ok()) return std::exchange(kept_.resume, absl::OkStatus());
    if (!kept_.there) return absl::NotFoundError("nobody is there");
    began_ = true;
    std::vector<KeptCopy> copies;
    for (const auto& [id, fd] : kept_.files)
      copies.push_back({.id = id, .fd = UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0))});
    return copies;
  }
  bool outlives() const override { return true; }

 private:
  KeptFiles& kept_;
  bool began_ = false;  // or resumed
};

inline Keeping KeptIn(KeptFiles& kept) {
  return {.opener = std::make_unique<FakeOpener>(kept),
          .lost = [&kept](const std::string& text) { kept.lost.push_back(text); },
          .unkept = [&kept](const std::string& text) { kept.unkept.push_back(text); },
          .kept = [&kept](const std::string& text) { kept.all.push_back(text); }};
}

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_FAKE_KEEPING_H_
