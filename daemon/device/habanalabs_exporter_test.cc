// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/habanalabs_exporter.h"

#include <sys/eventfd.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "daemon/device/fake_syscalls.h"
#include "daemon/device/test_habanalabs_rig.h"

namespace hlbuf {
namespace {

using HabanalabsExporterTest = HabanalabsExporterRig;

TEST_F(HabanalabsExporterTest, TellsWhatTheCardIs) {
  Start();
  EXPECT_EQ(exporter_->traits().kind, "habanalabs");
  EXPECT_TRUE(exporter_->traits().counts_references);
  EXPECT_FALSE(exporter_->traits().cpu_map);
  EXPECT_FALSE(exporter_->traits().simulated);
  EXPECT_FALSE(exporter_->traits().can_drill);
  EXPECT_EQ(exporter_->traits().page_bytes, kPage);
  ASSERT_TRUE(exporter_->Open().ok());
  EXPECT_EQ(exporter_->traits().total_bytes, 8 * kDriverPage);
  EXPECT_EQ(exporter_->traits().buffer_bytes_max, 8 * kDriverPage);
  EXPECT_GE(exporter_->alarm_fd(), 0);
  EXPECT_EQ(exporter_->traits().reset_window, absl::Seconds(30));
}

TEST_F(HabanalabsExporterTest, HasOneAlarmDescriptorInAllItsLives) {
  Start();
  const int fd = exporter_->alarm_fd();
  ASSERT_GE(fd, 0);
  ASSERT_TRUE(exporter_->Open().ok());
  EXPECT_FALSE(AlarmIsReadable());
  card_->Raise(hl::kEventDeviceReset);
  EXPECT_TRUE(AlarmIsReadable());
  EXPECT_TRUE(exporter_->CheckAlarm().has_value());
  EXPECT_FALSE(AlarmIsReadable());
  ResetAndOpen();
  EXPECT_EQ(exporter_->alarm_fd(), fd);
  EXPECT_FALSE(AlarmIsReadable());
  card_->Raise(hl::kEventDeviceReset);
  EXPECT_TRUE(AlarmIsReadable());
}

// Whoever keeps a copy of the notifier does not keep it in the alarm.
TEST_F(HabanalabsExporterTest, HearsNothingOfACardThatIsClosed) {
  StartOpen();
  const UniqueFd copy(
      ::fcntl(opener_->copies.at(HabanalabsCard::kKeptNotifier).get(), F_DUPFD_CLOEXEC, 0));
  ASSERT_TRUE(exporter_->Reset(Drill::kNone).ok());
  ASSERT_EQ(::eventfd_write(copy.get(), 1), 0);
  EXPECT_FALSE(AlarmIsReadable());
}

TEST_F(HabanalabsExporterTest, ExportsEachWindowOnceAndSaysWhatItIs) {
  StartOpen();
  const Allocation first = Export(3 * kPage);
  const Allocation second = Export(kPage, kBob);
  EXPECT_NE(first.window, second.window);
  EXPECT_TRUE(IsCloseOnExec(first.fd.get()));
  struct stat status = {};
  ASSERT_EQ(::fstat(first.fd.get(), &status), 0);
  EXPECT_EQ(first.inode, status.st_ino);
  EXPECT_EQ(static_cast<std::uint64_t>(status.st_size), 3 * kPage);
  ASSERT_EQ(card_->exports.size(), 2u);
  EXPECT_EQ(card_->exports[0].address, card_->exports[1].address);
  EXPECT_EQ(card_->exports[1].offset, 3 * kPage);
  EXPECT_EQ(machine_.dmabuf_names, (std::vector<std::string>{"hlbuf-gaudi-1", "hlbuf-gaudi-2"}));
}

TEST_F(HabanalabsExporterTest, UnmapsAChunkOnceAllItsWindowsWereFreed) {
  StartOpen();
  Allocation first = Export(kPage);
  Allocation second = Export(kPage);
  Free(std::move(first));
  EXPECT_EQ(card_->log.back(), "EXPORT");
  Free(std::move(second));
  EXPECT_EQ(card_->log.back(), "UNMAP");
}

TEST_F(HabanalabsExporterTest, KeepsAWindowOutThatTheDriverSaysIsStillExported) {
  StartOpen({.driver_pages = 1});
  Allocation made = Export(kPage);
  const UniqueFd leaked(::fcntl(made.fd.get(), F_DUPFD_CLOEXEC, 0));
  const absl::Status freed = exporter_->Free(std::move(made));
  EXPECT_EQ(ErrorCodeOf(freed), ErrorCode::kDeviceError);
  EXPECT_TRUE(absl::StrContains(freed.message(), "still exported")) << freed;
  EXPECT_EQ(exporter_->usage().withheld_bytes, kDriverPage);
  EXPECT_EQ(ErrorCodeOf(TryExport(kPage).status()), ErrorCode::kNoMemory);
}

TEST_F(HabanalabsExporterTest, RefusesSizesBeforeTheDriverDoes) {
  StartOpen();
  for (const std::uint64_t size : {std::uint64_t{0}, kPage + 1, 9 * kDriverPage, ~std::uint64_t{0}})
    EXPECT_EQ(ErrorCodeOf(TryExport(size).status()), ErrorCode::kDeviceError) << size;
  EXPECT_EQ(card_->log, std::vector<std::string>{"OPEN"});
}

TEST_F(HabanalabsExporterTest, MakesNothingWhileItIsNotOpen) {
  Start();
  EXPECT_EQ(ErrorCodeOf(TryExport(kPage).status()), ErrorCode::kDeviceUnavailable);
  EXPECT_FALSE(exporter_->CheckAlarm().has_value());
  EXPECT_EQ(ErrorCodeOf(exporter_->Free(Allocation())), ErrorCode::kDeviceError);
}

TEST_F(HabanalabsExporterTest, GivesTheWindowOfAFailedExportBack) {
  StartOpen({.driver_pages = 1});
  const std::vector<std::pair<int, ErrorCode>> errors = {
      {EBUSY, ErrorCode::kDeviceUnavailable}, {EINVAL, ErrorCode::kDeviceError},
      {ENOMEM, ErrorCode::kNoMemory},         {EMFILE, ErrorCode::kDeviceError},
      {EPERM, ErrorCode::kDeviceError},       {ENODEV, ErrorCode::kDeviceUnavailable}};
  const std::size_t before = OpenFdCount();
  for (const auto& [error, code] : errors) {
    card_->Fail(HlCall::kExport, error);
    EXPECT_EQ(ErrorCodeOf(TryExport(kDriverPage).status()), code);
    EXPECT_EQ(exporter_->usage().out_bytes, 0u);
  }
  machine_.inode_error = EOVERFLOW;
  EXPECT_EQ(ErrorCodeOf(TryExport(kDriverPage).status()), ErrorCode::kDeviceError);
  machine_.inode_error = 0;
  EXPECT_EQ(OpenFdCount(), before);
  Export(kDriverPage);
}

TEST_F(HabanalabsExporterTest, SaysWhatIsInUseWhenTheCardIsFull) {
  StartOpen({.driver_pages = 2});
  const Allocation all = Export(2 * kDriverPage);
  const absl::Status refused = TryExport(kPage, kBob).status();
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kNoMemory);
  EXPECT_EQ(refused.message(),
            "no room for 4 KiB: of 2 MiB, 2 MiB are in use, and the largest free piece at hand has "
            "0 bytes; release buffers");
}

TEST_F(HabanalabsExporterTest, StaysBelowTheSizeThatIsConfigured) {
  StartOpen({}, {.size_bytes = 3 * kDriverPage + kPage});
  EXPECT_EQ(exporter_->traits().total_bytes, 3 * kDriverPage);
  const Allocation all = Export(3 * kDriverPage);
  EXPECT_EQ(ErrorCodeOf(TryExport(kPage).status()), ErrorCode::kNoMemory);
}

TEST_F(HabanalabsExporterTest, SaysWhenTheConfiguredSizeIsLessThanACardGivesOutAtOnce) {
  Start({}, {.size_bytes = kDriverPage / 2});
  const absl::Status opened = exporter_->Open();
  EXPECT_EQ(ErrorCodeOf(opened), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(opened.message(),
                                "512 KiB, is less than the card gives out at "
                                "once, 1 MiB"))
      << opened;
  EXPECT_FALSE(card_->InUse());
}

TEST_F(HabanalabsExporterTest, SaysThatTheBarIsTooSmallWhereTheDriverSaysOnlyEinval) {
  StartOpen({.bar_bytes = kDriverPage});
  const Allocation visible = Export(kDriverPage);
  const absl::Status refused = TryExport(kDriverPage).status();
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kDeviceError);
  EXPECT_TRUE(absl::StrContains(refused.message(), "the BAR shows 1 MiB of 8 MiB")) << refused;
}

TEST_F(HabanalabsExporterTest, ExportsPhysicalAddressesOfAFirstGaudi) {
  StartOpen({.type = "GAUDI"});
  EXPECT_EQ(exporter_->traits().total_bytes, 8 * kDriverPage);
  Allocation first = Export(kPage);
  const Allocation second = Export(2 * kPage, kBob);
  EXPECT_EQ(card_->exports[0].address, 0x20000000u);
  EXPECT_EQ(card_->exports[1].address, 0x20000000u + kPage);
  for (const auto& made : card_->exports) EXPECT_EQ(made.offset, 0u);
  Free(std::move(first));
  EXPECT_EQ(card_->log, (std::vector<std::string>{"OPEN", "EXPORT", "EXPORT"}));
}

TEST_F(HabanalabsExporterTest, GivesOutOnlyWhatTheBarOfAFirstGaudiShows) {
  StartOpen({.type = "GAUDI", .bar_bytes = 2 * kDriverPage});
  EXPECT_EQ(exporter_->traits().total_bytes, 2 * kDriverPage);
  const Allocation all = Export(2 * kDriverPage);
}

TEST_F(HabanalabsExporterTest, KeepsAFirstGaudisExportsApartAlsoWithOldKernels) {
  StartOpen({.type = "GAUDI", .legacy = true, .is_61 = true});
  const Allocation first = Export(kPage);
  const Allocation second = Export(kPage, kBob);
  EXPECT_EQ(card_->exports[1].found, "");
  EXPECT_EQ(card_->exports[1].address, 0x20000000u + kPage);
}

TEST_F(HabanalabsExporterTest, ExportsEachAllocationOnceAndFromItsBeginningBefore67) {
  StartOpen({.legacy = true});
  const Allocation first = Export(kPage);
  const Allocation second = Export(kPage, kBob);
  ASSERT_EQ(card_->exports.size(), 2u);
  EXPECT_NE(card_->exports[0].address, card_->exports[1].address);
  for (const auto& made : card_->exports) EXPECT_EQ(made.offset, 0u);
  EXPECT_EQ(card_->exports[1].found, "");
}

TEST_F(HabanalabsExporterTest, SaysThatLinux61ExportsNothingOfAGaudi2) {
  StartOpen({.legacy = true, .is_61 = true});
  const absl::Status refused = TryExport(kPage).status();
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kUnimplemented);
  EXPECT_TRUE(absl::StrContains(refused.message(), "use Linux 6.7 or later")) << refused;
}

TEST_F(HabanalabsExporterTest, RefusesCardsThatExportNothing) {
  Start({.type = "GOYA"});
  const absl::Status opened = exporter_->Open();
  EXPECT_EQ(ErrorCodeOf(opened), ErrorCode::kUnimplemented);
  EXPECT_TRUE(absl::StrContains(opened.message(), "\"GOYA\"")) << opened;
}

TEST_F(HabanalabsExporterTest, RefusesACardWithoutMemory) {
  Start({.driver_pages = 0});
  EXPECT_EQ(ErrorCodeOf(exporter_->Open()), ErrorCode::kDeviceError);
}

TEST_F(HabanalabsExporterTest, LetsItsOpenerKeepEverythingByInode) {
  StartOpen();
  EXPECT_TRUE(opener_->copies.contains(HabanalabsCard::kKeptNotifier));
  Allocation made = Export(kPage);
  EXPECT_TRUE(opener_->copies.contains(made.inode));
  Free(std::move(made));
  EXPECT_EQ(opener_->copies.size(), 2u);  // the card and its notifier
  EXPECT_EQ(card_->log.back(), "UNMAP");
}

TEST_F(HabanalabsExporterTest, LetsTheOpenersCopiesBeDroppedOnceBeforeReferencesAreCounted) {
  StartOpen();
  const Allocation first = Export(kPage);
  const Allocation second = Export(kPage);
  const int fds[] = {first.fd.get(), second.fd.get()};
  exporter_->DropCopies(fds);
  EXPECT_FALSE(opener_->copies.contains(first.inode));
  EXPECT_FALSE(opener_->copies.contains(second.inode));
  EXPECT_EQ(opener_->drops, 1);
  exporter_->DropCopies(fds);
  EXPECT_EQ(opener_->drops, 1);
}

TEST_F(HabanalabsExporterTest, TriesAgainWhatTheOpenerCouldNotDrop) {
  StartOpen();
  const Allocation made = Export(kPage);
  opener_->fail_drop = absl::UnavailableError("the keeper is busy");
  exporter_->DropCopies({made.fd.get()});
  EXPECT_TRUE(opener_->copies.contains(made.inode));
  exporter_->DropCopies({made.fd.get()});
  EXPECT_FALSE(opener_->copies.contains(made.inode));
}

TEST_F(HabanalabsExporterTest, GivesNothingOutThatItsOpenerCannotKeep) {
  StartOpen();
  opener_->fail_keep = Error(ErrorCode::kDeviceError, "the keeper is gone");
  EXPECT_EQ(TryExport(kPage).status().message(), "the keeper is gone");
  EXPECT_EQ(exporter_->usage().out_bytes, 0u);
  EXPECT_EQ(card_->log.back(), "UNMAP");
}

TEST_F(HabanalabsExporterTest, SaysWhatIsReservedAndHowItComesBack) {
  StartOpen();
  EXPECT_EQ(exporter_->reserved_bytes(), 0u);
  Free(Export(kPage));
  EXPECT_EQ(exporter_->reserved_bytes(), kPage);
  EXPECT_TRUE(absl::StartsWith(exporter_->traits().reserved_hint,
                               "load habanalabs with memory_scrub=1 and reset the card"));
  machine_.SetMemoryScrub(true);
  ResetAndOpen();
  EXPECT_EQ(exporter_->reserved_bytes(), 0u);
  EXPECT_TRUE(absl::StrContains(exporter_->traits().reserved_hint, "when the card is reset"));
}

TEST_F(HabanalabsExporterTest, ServesSeveralCardsSideBySide) {
  machine_.Add({.pci = "0000:b3:00.0", .module_id = 1});
  HabanalabsExporter other({.name = "gaudi1", .kind = "habanalabs", .pci = "0000:b3:00.0"},
                           machine_, nullptr, machine_.roots());
  ASSERT_TRUE(other.Open().ok());
  StartOpen({}, {.pci = "0000:19:00.0"});
  auto theirs = other.Export({.size_bytes = 8 * kDriverPage, .domain = kAlice});
  ASSERT_TRUE(theirs.ok()) << theirs.status();
  Export(8 * kDriverPage, kBob);
  EXPECT_EQ(card_->exports.size(), 1u);
}

TEST_F(HabanalabsExporterTest, LeavesNothingOpenWithoutAnOpenerThatOutlivesIt) {
  const std::size_t before = OpenFdCount();
  StartOpen();
  Free(Export(kPage));
  opener_->survives = false;
  const int notes = notes_.writes;
  exporter_.reset();
  EXPECT_EQ(notes_.writes, notes) << "whoever took them may have ended";
  EXPECT_FALSE(card_->InUse());
  EXPECT_EQ(OpenFdCount(), before);
}

}  // namespace
}  // namespace hlbuf
