// SPDX-License-Identifier: Apache-2.0
#include "daemon/stored_state.h"

#include <fcntl.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/log.h"
#include "daemon/base/status_macros.h"

namespace hlbuf {
namespace {

constexpr const char* kJournal = "journal-1";
constexpr const char* kEpochPage = "epoch-page-1";

// The manager has less or more, and has it still when it is asked again.
bool IsAnswer(const absl::Status& verified) {
  return absl::IsDataLoss(verified) || absl::IsFailedPrecondition(verified);
}

std::string WordsOf(const absl::Status& verified) {
  if (verified.ok()) return "";
  return absl::StrCat(absl::IsFailedPrecondition(verified)
                          ? "a keeper that was given up may live on: "
                          : "what is held may not survive a restart of this service: ",
                      verified.message());
}

}  // namespace

StoredState::StoredState(FdStore& store, Poster& poster, const Clock& clock,
                         absl::Span<const std::string> keepers, OnTrouble on_trouble,
                         OnCounting on_counting)
    : store_(store),
      poster_(poster),
      clock_(clock),
      on_trouble_(std::move(on_trouble)),
      on_counting_(std::move(on_counting)),
      side_(poster) {
  for (const std::string& name : keepers)
    if (std::optional<UniqueFd> connection = store_.Take(name))
      came_.emplace(name, *std::move(connection));
}

UniqueFd StoredState::TakeJournal() {
  (void)store_.Take(kJournalAside);
  UniqueFd journal = store_.Take(kJournal).value_or(UniqueFd());
  has_journal_ = bool(journal);
  return journal;
}

absl::Status StoredState::PutJournal(int journal, const UniqueFd& aside) {
  if (aside || !has_journal_) RETURN_IF_ERROR(Replace(kJournal, journal));
  if (aside) RETURN_IF_ERROR(Replace(kJournalAside, aside.get()));
  poster_.Post([this] { Verify(); });  // when what nobody took has been removed
  return absl::OkStatus();
}

UniqueFd StoredState::TakeEpochPage() { return store_.Take(kEpochPage).value_or(UniqueFd()); }

absl::Status StoredState::PutEpochPage(int page) {
  RETURN_IF_ERROR(Replace(kEpochPage, page));
  Verify();
  return absl::OkStatus();
}

absl::Status StoredState::Replace(const std::string& name, int fd) {
  RETURN_IF_ERROR(store_.Remove(name));
  return store_.Push(name, fd);
}

void StoredState::Put(const std::string& name, UniqueFd connection) {
  DropWhatCame(name);
  poster_.Post([this, name, connection = std::move(connection)] {
    unput_.erase(name);
    const absl::Status put = Replace(name, connection.get());
    if (put.ok()) return Verify();
    unput_[name] =
        absl::StrCat("the service manager does not keep the connection ", name, ": ", put.message(),
                     "; a restart of this service will lose what that device has");
    on_trouble_(unput_[name]);
  });
}

// Its other end sees no end before this copy is closed, too.
void StoredState::DropWhatCame(const std::string& name) {
  const std::lock_guard<std::mutex> locked(lock_);
  came_.erase(name);
}

void StoredState::Remove(const std::string& name) {
  DropWhatCame(name);
  poster_.Post([this, name] {
    unput_.erase(name);
    const absl::Status removed = store_.Remove(name);
    if (removed.ok()) return Verify();
    Log(LogLevel::kWarning, absl::StrCat("the service manager may still keep the connection ", name,
                                         ": ", removed.message()));
  });
}

UniqueFd StoredState::Take(const std::string& name) {
  const std::lock_guard<std::mutex> locked(lock_);
  const auto it = came_.find(name);
  if (it == came_.end()) return UniqueFd();
  UniqueFd copy(::fcntl(it->second.get(), F_DUPFD_CLOEXEC, 0));
  return copy ? std::move(copy) : std::move(came_.extract(it).mapped());
}

std::vector<std::string> StoredState::troubles() const {
  std::vector<std::string> all;
  if (!unverified_.empty()) all.push_back(unverified_);
  for (const auto& [name, why] : unput_) all.push_back(why);
  return all;
}

void StoredState::Verify() {
  if (std::exchange(verifying_, true)) {
    verify_again_ = true;
    return;
  }
  repeat_ = absl::InfiniteFuture();
  on_counting_(true);
  const auto verified = std::make_shared<absl::Status>();
  side_.Run([verified, verify = store_.Verification()] { *verified = verify(); },
            [this, verified] { OnVerified(*verified); });
}

void StoredState::OnVerified(const absl::Status& verified) {
  verifying_ = false;
  // What was told meanwhile is in that count, or is not.
  if (std::exchange(verify_again_, false)) return Verify();
  verified_ = verified.ok();
  const std::string before = std::exchange(unverified_, WordsOf(verified));
  if (!verified.ok() && !IsAnswer(verified)) repeat_ = clock_.Now() + kRepeatPause;
  if (!verified.ok() && unverified_ != before) on_trouble_(unverified_);
  on_counting_(false);
}

void StoredState::RunDeadlines() {
  if (clock_.Now() >= repeat_) Verify();
}

}  // namespace hlbuf
