// SPDX-License-Identifier: Apache-2.0
#include "daemon/fd_store.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "daemon/base/crash_point.h"

namespace hlbuf {
namespace {

bool IsName(absl::string_view name) {
  const auto is_good = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= FdStore::kNameBytesMax &&
         std::all_of(name.begin(), name.end(), is_good);
}

// The manager closes the other end when it has read everything that was sent before.
absl::Status AwaitBarrier(const UniqueFd& barrier) {
  pollfd p = {.fd = barrier.get(), .events = 0, .revents = 0};
  const int ended = ::poll(&p, 1, static_cast<int>(absl::ToInt64Milliseconds(FdStore::kPatience)));
  if (ended < 0) return absl::ErrnoToStatus(errno, "poll()");
  if (ended == 0)
    return absl::DeadlineExceededError("the service manager has not read what it was told");
  return absl::OkStatus();
}

absl::Status Compare(std::size_t wanted, const FdStore::CountStored& count) {
  const absl::StatusOr<std::uint32_t> stored = count();
  if (!stored.ok()) return absl::UnavailableError(stored.status().message());
  if (*stored < wanted)
    return absl::DataLossError(absl::StrCat("the service manager keeps ", *stored,
                                            " descriptors, not ", wanted,
                                            "; raise FileDescriptorStoreMax= of the unit"));
  if (*stored > wanted)
    return absl::FailedPreconditionError(absl::StrCat(
        "the service manager keeps ", *stored, " descriptors, and only ", wanted, " are known"));
  return absl::OkStatus();
}

}  // namespace

// A name that came twice was pushed while its removal was lost: the manager tells the newest first,
// and has the rest removed with it.
FdStore::FdStore(NotifySocket& notify, PassedDescriptors passed, CountStored count)
    : notify_(notify), count_(std::move(count)) {
  absl::btree_set<std::string> twice;
  for (const std::string& name : passed.Left()) {
    std::optional<UniqueFd> fd = passed.Take(name);
    if (names_.insert(name).second)
      came_.emplace_back(name, *std::move(fd));
    else
      twice.insert(name);
  }
  for (const auto& [name, fd] : came_) {
    if (!twice.contains(name)) continue;
    static_cast<void>(Remove(name));  // a Verification() tells whether that helped
    static_cast<void>(Push(name, fd.get()));
    unwanted_.erase(name);  // rather two of them than none
  }
}

std::optional<UniqueFd> FdStore::Take(absl::string_view name) {
  const auto it = std::find_if(came_.begin(), came_.end(),
                               [&](const auto& entry) { return entry.first == name; });
  if (it == came_.end()) return std::nullopt;
  UniqueFd fd = std::move(it->second);
  came_.erase(it);
  return fd;
}

std::vector<std::string> FdStore::RemoveUntaken() {
  std::vector<std::string> removed;
  for (auto& [name, fd] : std::exchange(came_, {})) {
    static_cast<void>(Remove(name));  // likewise
    removed.push_back(std::move(name));
  }
  return removed;
}

absl::Status FdStore::Push(const std::string& name, int fd) {
  if (!IsName(name))
    return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" names no descriptor"));
  if (names_.contains(name))
    return absl::AlreadyExistsError(absl::StrCat("a descriptor is stored as ", name));
  // Without FDPOLL=0 the manager would drop it when its other end hangs up.
  CrashPoint("before-store-push");
  absl::Status told = notify_.Send(absl::StrCat("FDSTORE=1\nFDNAME=", name, "\nFDPOLL=0"), fd);
  CrashPoint("after-store-push");
  if (told.ok()) names_.insert(name);
  return told;
}

absl::Status FdStore::Remove(const std::string& name) {
  if (!names_.contains(name)) return absl::OkStatus();
  absl::Status told = notify_.Send(absl::StrCat("FDSTOREREMOVE=1\nFDNAME=", name));
  if (told.ok()) {
    names_.erase(name);
    unwanted_.erase(name);
  } else {
    unwanted_.insert(name);
  }
  return told;
}

std::function<absl::Status()> FdStore::Verification() {
  if (!notify_.is_there()) return [] { return absl::OkStatus(); };
  for (const std::string& name : absl::btree_set<std::string>(unwanted_))
    static_cast<void>(Remove(name));  // else the manager has more
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return [why = absl::ErrnoToStatus(errno, "pipe2()")] { return why; };
  const auto ours = std::make_shared<UniqueFd>(ends[0]);
  const UniqueFd theirs(ends[1]);
  CrashPoint("before-store-barrier");
  const absl::Status sent = notify_.Send("BARRIER=1", theirs.get());
  CrashPoint("after-store-barrier");
  if (!sent.ok()) return [sent] { return sent; };
  return [ours, wanted = names_.size() - unwanted_.size(), count = count_] {
    const absl::Status read = AwaitBarrier(*ours);
    return read.ok() ? Compare(wanted, count) : read;
  };
}

}  // namespace hlbuf
