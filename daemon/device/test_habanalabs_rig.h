// SPDX-License-Identifier: Apache-2.0
// For habanalabs_exporter_test.cc and its likes: an exporter of one card.
#ifndef HLBUF_DAEMON_DEVICE_TEST_HABANALABS_RIG_H_
#define HLBUF_DAEMON_DEVICE_TEST_HABANALABS_RIG_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/core/error.h"
#include "daemon/device/fake_habanalabs.h"
#include "daemon/device/habanalabs_exporter.h"
#include "daemon/device/recorded_notes.h"

namespace hlbuf {

inline const Domain kAlice{.uid = 1000, .container = ""};
inline const Domain kBob{.uid = 1001, .container = ""};

using KeptByFake = std::map<std::uint64_t, UniqueFd>;

// Keeps copies, as a process of its own would: `copies` live on when this one does not.
class FakeOpener final : public DeviceOpener {
 public:
  FakeOpener(Syscalls& syscalls, KeptByFake& kept) : copies(kept), direct_(syscalls) {}
  absl::StatusOr<UniqueFd> Open(const std::string& path) override {
    auto fd = direct_.Open(path);
    if (fd.ok()) copies[HabanalabsCard::kKeptCard] = Copy(fd->get());
    return fd;
  }
  absl::Status Keep(std::uint64_t id, int fd) override {
    if (!fail_keep.ok()) return std::exchange(fail_keep, absl::OkStatus());
    if (died) return absl::OkStatus();
    copies[id] = Copy(fd);
    return absl::OkStatus();
  }
  absl::Status Drop(absl::Span<const std::uint64_t> ids) override {
    if (!fail_drop.ok()) return std::exchange(fail_drop, absl::OkStatus());
    ++drops;
    for (const std::uint64_t id : ids) copies.erase(id);
    return absl::OkStatus();
  }
  // As a kill: nobody has the copies any more.
  void Die() {
    copies.clear();
    died = true;
  }
  bool Died() const override { return died; }
  int death_fd() const override { return death.get(); }
  std::string End() override {
    ++ended;
    died = false;
    return "process 4711 killed by SIGKILL";
  }
  absl::Status Begin() override {
    ++begun;
    return begun <= fail_begins ? fail_begin : absl::OkStatus();
  }

  absl::StatusOr<std::vector<KeptCopy>> Resume() override {
    if (!fail_resume.ok()) return std::exchange(fail_resume, absl::OkStatus());
    if (copies.empty()) return absl::NotFoundError("process 4711 killed by SIGKILL");
    std::vector<KeptCopy> all;
    for (const auto& [id, fd] : copies) all.push_back({.id = id, .fd = Copy(fd.get())});
    return all;
  }
  bool outlives() const override { return survives; }

  KeptByFake& copies;
  absl::Status fail_resume;
  bool survives = true;
  bool died = false;
  int ended = 0;
  int begun = 0;  // successors, in vain or not
  UniqueFd death;
  absl::Status fail_begin = Error(ErrorCode::kDeviceError, "cannot start hl-bufd-keeper");
  int fail_begins = 0;  // the first so many successors
  absl::Status fail_keep;
  absl::Status fail_drop;
  int drops = 0;

 private:
  static UniqueFd Copy(int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); }
  DirectOpener direct_;
};

class HabanalabsExporterRig : public testing::Test {
 protected:
  static constexpr std::uint64_t kPage = FakeHabanalabsCard::kPage;
  static constexpr std::uint64_t kDriverPage = FakeHabanalabsCard::kDriverPage;

  void Start(const HlCard& like = {}, DeviceConfig config = {}) {
    card_ = &machine_.Add(like);
    config.name = "gaudi0";
    config.kind = "habanalabs";
    config_ = config;
    MakeExporter();
  }
  void MakeExporter() {
    auto opener = std::make_unique<FakeOpener>(machine_, kept_);
    opener_ = opener.get();
    exporter_ = std::make_unique<HabanalabsExporter>(config_, machine_, std::move(opener),
                                                     machine_.roots());
    exporter_->WriteNotesTo(notes_);
  }
  void StartOpen(const HlCard& like = {}, const DeviceConfig& config = {}) {
    Start(like, config);
    const absl::Status opened = exporter_->Open();
    ASSERT_TRUE(opened.ok()) << opened;
  }
  absl::StatusOr<Allocation> TryExport(std::uint64_t size_bytes, const Domain& domain = kAlice) {
    card_->mark = domain == kAlice ? 'a' : 'b';
    return exporter_->Export({.size_bytes = size_bytes, .domain = domain});
  }
  Allocation Export(std::uint64_t size_bytes, const Domain& domain = kAlice) {
    auto made = TryExport(size_bytes, domain);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *std::move(made) : Allocation();
  }
  void Free(Allocation allocation) {
    const absl::Status freed = exporter_->Free(std::move(allocation));
    EXPECT_TRUE(freed.ok()) << freed;
  }
  bool AlarmIsReadable() const {
    pollfd p = {.fd = exporter_->alarm_fd(), .events = POLLIN, .revents = 0};
    return ::poll(&p, 1, 0) == 1;
  }
  void ResetAndOpen() {
    const absl::Status reset = exporter_->Reset(Drill::kNone);
    ASSERT_TRUE(reset.ok()) << reset;
    const absl::Status opened = exporter_->Open();
    ASSERT_TRUE(opened.ok()) << opened;
  }
  FakeHabanalabs machine_;
  KeptByFake kept_;
  RecordedNotes notes_;
  DeviceConfig config_;
  FakeHabanalabsCard* card_ = nullptr;
  FakeOpener* opener_ = nullptr;
  std::unique_ptr<HabanalabsExporter> exporter_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_TEST_HABANALABS_RIG_H_
