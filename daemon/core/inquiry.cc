// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/inquiry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/core/device.h"

namespace hlbuf {
namespace {

// More than so many are counted, not named: the rest is for `hl-bufctl holders`.
constexpr std::size_t kNamedMax = 8;

BufferFile FileOf(const BufferRecord& buffer) {
  return {.inode = buffer.allocation.inode, .dmabuf = !buffer.device->traits().simulated};
}

bool HasLease(const BufferRecord& buffer, pid_t pid) {
  return std::any_of(buffer.leases.begin(), buffer.leases.end(),
                     [pid](const LeaseRecord* lease) { return lease->session->peer.pid == pid; });
}

std::string HolderText(const OutsideHolder& holder) {
  std::string text =
      absl::StrCat("pid ", holder.pid, " (", holder.command, ", uid ", holder.uid, ") has ");
  if (holder.descriptors > 0) absl::StrAppend(&text, CountText(holder.descriptors, "descriptor"));
  if (holder.mappings > 0)
    absl::StrAppend(&text, holder.descriptors > 0 ? " and " : "",
                    CountText(holder.mappings, "mapping"));
  if (holder.has_lease.has_value())
    absl::StrAppend(&text, *holder.has_lease ? " with a lease" : " without a lease");
  return text;
}

std::vector<std::string> Named(const OutsideHolders& found) {
  std::vector<std::string> named;
  for (const OutsideHolder& holder : found.holders)
    if (named.size() < kNamedMax) named.push_back(HolderText(holder));
  const std::size_t more = found.holders.size() - named.size() + found.holders_left_out;
  if (more > 0) named.push_back(absl::StrCat("and ", more, " more processes"));
  const std::size_t shown = std::min(found.importers.size(), kNamedMax);
  for (std::size_t i = 0; i < shown; ++i)
    named.push_back(absl::StrCat("importer ", found.importers[i]));
  const std::size_t rest = found.importers.size() - shown + found.importers_left_out;
  if (rest > 0) named.push_back(absl::StrCat("and ", rest, " more attachments"));
  return named;
}

}  // namespace

std::string CountText(std::uint64_t count, absl::string_view noun) {
  return absl::StrCat(count, " ", noun, count == 1 ? "" : "s");
}

std::string HoldersText(const OutsideHolders& found) {
  std::string text = absl::StrJoin(Named(found), ", ");
  const std::uint32_t unexplained = found.unexplained.value_or(0);
  if (unexplained == 0) return text;
  absl::StrAppend(&text, text.empty() ? "" : "; ", CountText(unexplained, "reference"),
                  unexplained == 1 ? " is" : " are",
                  " unexplained: perhaps in a message that nobody has read yet");
  if (!found.importers_known)
    absl::StrAppend(&text, ", or a driver's, for debugfs could not be read");
  if (!found.all_seen) absl::StrAppend(&text, ", or of a process that could not be looked at");
  return text;
}

std::string HowToAsk(BufferId buffer) {
  return absl::StrCat("`hl-bufctl holders ", IdText(buffer), "`, as root, shows who has it");
}

bool Inquiry::Ask(absl::Span<BufferRecord* const> buffers, RevocationId revocation, Done done) {
  if (witness_ == nullptr) return false;
  std::vector<BufferFile> files;
  std::vector<BufferId> asked;
  for (const BufferRecord* buffer : buffers) {
    if (!buffer->is_out()) continue;
    files.push_back(FileOf(*buffer));
    asked.push_back(buffer->id);
  }
  if (files.empty()) return false;
  return witness_->Ask(std::move(files),
                       [this, asked = std::move(asked), revocation, done = std::move(done)](
                           const absl::StatusOr<Testimony>& testimony) mutable {
                         Seen seen;
                         if (testimony.ok()) seen = Judge(asked, *testimony);
                         TellAll(asked, seen, revocation);
                         std::move(done)(seen);
                       });
}

Inquiry::Seen Inquiry::Judge(const std::vector<BufferId>& asked, const Testimony& testimony) const {
  Seen seen;
  for (const BufferId id : asked) {
    const BufferRecord* const buffer = ledger_.registry.Find(id);
    if (buffer == nullptr || !buffer->is_out()) continue;
    const auto found = testimony.files.find(FileOf(*buffer));
    if (found == testimony.files.end()) continue;
    OutsideHolders& judged = seen[id] = found->second;
    for (OutsideHolder& holder : judged.holders)
      if (testimony.same_pids) holder.has_lease = HasLease(*buffer, holder.pid);
  }
  return seen;
}

void Inquiry::TellAll(const std::vector<BufferId>& asked, const Seen& seen,
                      RevocationId revocation) {
  std::size_t told = 0, more = 0;
  for (const BufferId id : asked) {
    const auto found = seen.find(id);
    std::string text = found == seen.end() ? "" : HoldersText(found->second);
    if (text.empty()) continue;
    if (told == kToldMax) {
      ++more;
      continue;
    }
    ++told;
    ledger_.Tell(EventKind::kHoldersFound, *ledger_.registry.Find(id), std::move(text), revocation);
  }
  if (more > 0)
    ledger_.Tell({.kind = EventKind::kHoldersFound,
                  .revocation = revocation,
                  .text = absl::StrCat(more, " more buffers have holders; `hl-bufctl holders ",
                                       "DEVICE`, as root, shows them all")});
}

void Inquiry::AskSoon(const BufferRecord& buffer) {
  if (witness_ == nullptr) return;
  outlived_.push_back(buffer.id);
  if (outlived_.size() > 1) return;
  const absl::Time now = ledger_.clock.Now();
  next_outlived_ = std::max(now, next_outlived_ + kOutlivedPause);
  ledger_.deadlines.At(next_outlived_, [this] { AskOfOutlived(); });
}

void Inquiry::AskOfOutlived() {
  std::vector<BufferRecord*> buffers;
  for (const BufferId id : std::exchange(outlived_, {}))
    if (BufferRecord* const buffer = ledger_.registry.Find(id)) buffers.push_back(buffer);
  Ask(buffers, RevocationId(), [](const Seen&) {});
}

}  // namespace hlbuf
