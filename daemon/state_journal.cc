// SPDX-License-Identifier: Apache-2.0
#include "daemon/state_journal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/persist/journal_reader.h"

namespace hlbuf {
namespace {

constexpr int kBadMax = 1000;

// "d3b07384-d9a0-4c9b-..." ; all zeros where there is no /proc: then any boot is this one.
BootId ThisBoot() {
  std::string text;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> text;
  BootId id = {};
  std::size_t digits = 0;
  for (const char c : text) {
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0 || digits == 2 * id.size()) continue;
    const int value = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    std::uint8_t& byte = id[digits++ / 2];
    byte = static_cast<std::uint8_t>(byte << 4 | value);
  }
  return id;
}

absl::Status Refuse(const std::string& directory, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("state.directory ", directory, " ", why));
}

absl::Status CheckDirectory(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return absl::ErrnoToStatus(errno, absl::StrCat("make state.directory ", directory));
  struct stat stat = {};
  if (::lstat(directory.c_str(), &stat) != 0)
    return absl::ErrnoToStatus(errno, absl::StrCat("look at state.directory ", directory));
  if (!S_ISDIR(stat.st_mode)) return Refuse(directory, "is no directory");
  if (stat.st_uid != ::geteuid() || (stat.st_mode & 077) != 0)
    return Refuse(directory,
                  "is open to others, who could change what this service believes; it has to "
                  "belong to the user of this service, with mode 0700");
  struct statfs fs = {};
  if (::statfs(directory.c_str(), &fs) != 0)
    return absl::ErrnoToStatus(errno, absl::StrCat("look at state.directory ", directory));
  if (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC)
    return Refuse(directory,
                  "is on a disk: what it has is about this boot alone, and is written too often; "
                  "choose a directory on a tmpfs, as /run is on most machines");
  return absl::OkStatus();
}

// To a name that is free.
std::string SetAside(const std::string& path) {
  for (int n = 1; n < kBadMax; ++n) {
    const std::string aside = absl::StrCat(path, ".bad-", n);
    if (::link(path.c_str(), aside.c_str()) != 0) continue;
    ::unlink(path.c_str());
    return aside;
  }
  ::unlink(path.c_str());
  return "nowhere, for there are too many already";
}

absl::StatusOr<UniqueFd> OpenFile(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0)
    return absl::FailedPreconditionError(
        absl::StrCat(path,
                     " is in use by another process; each hl-bufd needs a state.directory "
                     "of its own"));
  return file;
}

bool IsEmpty(const UniqueFd& file) {
  struct stat stat = {};
  return ::fstat(file.get(), &stat) == 0 && stat.st_size == 0;
}

bool IsUnreadable(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsFailedPrecondition(status);
}

}  // namespace

void StateJournal::Record(std::unique_ptr<Journal> journal) {
  journal_ = std::move(journal);
  recorder_ = std::make_unique<JournalRecorder>(*journal_, [this](const absl::Status& why) {
    broken_ =
        absl::StrCat("what is held cannot be written down any more: ", why.message(),
                     "; a restart of this service will lose it; let jobs finish, then restart");
    on_trouble_(broken_);
  });
}

absl::StatusOr<Kept> StateJournal::Adopt(UniqueFd file) {
  ASSIGN_OR_RETURN(std::unique_ptr<Journal> journal,
                   Journal::Adopt(std::move(file), ThisBoot(), HLBUF_VERSION));
  ASSIGN_OR_RETURN(ReadJournal read, Read(*journal));
  for (const JournalKey& leftover : read.leftover) journal->Erase(leftover);
  Record(std::move(journal));
  return std::move(read.kept);
}

absl::Status StateJournal::Create(UniqueFd file) {
  ASSIGN_OR_RETURN(std::unique_ptr<Journal> journal,
                   Journal::Create(std::move(file), ThisBoot(), HLBUF_VERSION));
  Record(std::move(journal));
  return absl::OkStatus();
}

absl::StatusOr<StateJournal::Found> StateJournal::OpenIn(const std::string& directory) {
  RETURN_IF_ERROR(CheckDirectory(directory));
  const std::string path = absl::StrCat(directory, "/journal");
  ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path));
  Found found;
  if (IsEmpty(file)) {
    RETURN_IF_ERROR(Create(std::move(file)));
    return found;
  }
  absl::StatusOr<Kept> kept = Adopt(std::move(file));
  if (kept.ok()) {
    found.kept = *std::move(kept);
    return found;
  }
  if (!IsUnreadable(kept.status())) return kept.status();
  found.set_aside =
      absl::StrCat("the journal of an earlier process cannot be read: ", kept.status().message(),
                   "; it is now ", SetAside(path));
  ASSIGN_OR_RETURN(UniqueFd fresh, OpenFile(path));
  RETURN_IF_ERROR(Create(std::move(fresh)));
  return found;
}

absl::StatusOr<StateJournal::Found> StateJournal::OpenStored(UniqueFd stored) {
  Found found;
  if (stored) {
    UniqueFd copy(::fcntl(stored.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return absl::ErrnoToStatus(errno, "copy the descriptor of the journal");
    absl::StatusOr<Kept> kept = Adopt(std::move(copy));
    if (kept.ok()) {
      found.kept = *std::move(kept);
      return found;
    }
    if (!IsUnreadable(kept.status())) return kept.status();
    found.set_aside =
        absl::StrCat("the journal of an earlier process cannot be read: ", kept.status().message());
    found.aside = std::move(stored);
  }
  UniqueFd file(::memfd_create("hl-bufd-journal", MFD_CLOEXEC));
  if (!file) return absl::ErrnoToStatus(errno, "memfd_create() for the journal");
  ::fchmod(file.get(), 0600);
  RETURN_IF_ERROR(Create(std::move(file)));
  return found;
}

// A journal that was given up is written no more: nobody will read it.
absl::Status StateJournal::Reserve(std::size_t records) {
  if (!keeps()) return absl::OkStatus();
  absl::Status room = recorder_->Reserve(records);
  full_ = room.ok() ? "" : absl::StrCat("requests are refused: ", room.message());
  // Clients can bring it about again and again.
  if (!room.ok() && !std::exchange(full_was_told_, true)) on_trouble_(full_);
  return room;
}
void StateJournal::Write(const Device& device) {
  if (keeps()) recorder_->Write(device);
}
void StateJournal::Write(const SessionRecord& session) {
  if (keeps()) recorder_->Write(session);
}
void StateJournal::Write(const BufferRecord& buffer) {
  if (keeps()) recorder_->Write(buffer);
}
void StateJournal::Write(const LeaseRecord& lease) {
  if (keeps()) recorder_->Write(lease);
}
void StateJournal::Write(const RevocationReport& report) {
  if (keeps()) recorder_->Write(report);
}
void StateJournal::Write(const Device& device, const DeviceNote& note) {
  if (keeps()) recorder_->Write(device, note);
}
void StateJournal::Forget(SessionId id) {
  if (keeps()) recorder_->Forget(id);
}
void StateJournal::Forget(BufferId id) {
  if (keeps()) recorder_->Forget(id);
}
void StateJournal::Forget(LeaseId id) {
  if (keeps()) recorder_->Forget(id);
}
void StateJournal::Forget(RevocationId id) {
  if (keeps()) recorder_->Forget(id);
}

}  // namespace hlbuf
