// SPDX-License-Identifier: Apache-2.0
// How a process of this service goes on with a card that an earlier one had.
#include <sys/epoll.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/device/error_text.h"
#include "daemon/device/habanalabs_exporter.h"

namespace hlbuf {

absl::StatusOr<Resumed> HabanalabsExporter::Resume(const Resumption& from) {
  const absl::Status kept = copies_.Resume();
  if (!kept.ok() && !absl::IsNotFound(kept))
    return Error(ErrorCode::kDeviceUnavailable, kept.message());
  const absl::StatusOr<CardNotes> notes = ReadCardNotes(from.notes);
  const bool were_lost = notes.ok() && !notes->card && kept.ok();
  // Whose bytes are on the card is not known then, nor what of it is out.
  suspects_everybody_ = !notes.ok() || were_lost;
  if (!notes.ok()) return GiveUp(from, {}, notes.status().message());
  if (were_lost) return GiveUp(from, {}, "nothing was noted of a card that was open");
  if (!notes->card || !notes->card->is_open) return GiveUp(from, *notes, "");
  if (!kept.ok()) return GiveUp(from, *notes, kept.message());
  return GoOn(from, *notes);
}

absl::StatusOr<Resumed> HabanalabsExporter::GoOn(const Resumption& from, const CardNotes& notes) {
  UniqueFd compute = copies_.ClaimById(HabanalabsCard::kKeptCard);
  UniqueFd notifier = copies_.ClaimById(HabanalabsCard::kKeptNotifier);
  if (!compute || !notifier)
    return GiveUp(from, notes, "the keeper does not have the card any more");
  const absl::Status resumed = card_.Resume(*notes.card, std::move(compute), std::move(notifier));
  if (absl::IsFailedPrecondition(resumed)) return GiveUp(from, notes, resumed.message());
  if (!resumed.ok()) {
    copies_.LeaveUnclaimed();
    return resumed;
  }
  Resumed result{.fds = ClaimBuffers(from)};
  std::vector<HabanalabsMemory::Held> held;
  for (std::size_t i = 0; i < from.buffers.size(); ++i)
    held.push_back({.window = from.buffers[i].window,
                    .size_bytes = from.buffers[i].size_bytes,
                    .domain = from.buffers[i].domain,
                    .is_blind = !result.fds[i] && !from.buffers[i].is_proven,
                    .has_fd = bool(result.fds[i])});
  // Before the driver is asked what is exported still: nobody has been given these.
  const absl::Status dropped = copies_.DropUnclaimed();
  MakeMemory(notes.card->memory, notes.card->is_physical);
  shape_is_noted_ = true;
  if (const absl::Status loaded = memory_->OnResumed(card_.driver(), notes, held); !loaded.ok()) {
    suspects_everybody_ = true;
    return GiveUp(from, notes, loaded.message());
  }
  alarms_.Add(card_.notifier_fd(), EPOLLIN);
  alarms_.Add(opener_->death_fd(), 0);
  opener_lost_ = notes.card->opener_lost;
  DescribeItself();
  result.lost = WhatIsLost();
  if (!dropped.ok())
    absl::StrAppend(&result.lost, result.lost.empty() ? "" : "; ", dropped.message());
  return result;
}

std::vector<UniqueFd> HabanalabsExporter::ClaimBuffers(const Resumption& from) {
  std::vector<UniqueFd> fds;
  for (const Resumption::Buffer& buffer : from.buffers) {
    const bool exported = buffer.inode != 0;
    fds.push_back(exported ? copies_.Claim(buffer.inode) : UniqueFd());
  }
  return fds;
}

// The card is closed, or is closed by this, and everything that an earlier process had of it. The
// history of its memory goes on.
Resumed HabanalabsExporter::GiveUp(const Resumption& from, const CardNotes& notes,
                                   absl::string_view why) {
  (void)card_.Close();
  (void)copies_.DropAll();
  (void)copies_.DropUnclaimed();
  (void)opener_->Drop({HabanalabsCard::kKeptNotifier, HabanalabsCard::kKeptCard});
  memory_.reset();
  if (notes.card) {
    if (notes.card->memory != CardMemory()) {
      MakeMemory(notes.card->memory, notes.card->is_physical);
      memory_->Remember(notes);
      shape_is_noted_ = true;
    }
    card_.NoteClosed(*notes.card);
    cleared_at_close_ = notes.card->scrubs && card_.ScrubsMemory();
  }
  Resumed result{.memory_is_gone = true, .lost = std::string(why)};
  result.fds.resize(from.buffers.size());
  return result;
}

std::string HabanalabsExporter::WhatIsLost() const {
  const HabanalabsMemory::Usage used = usage();
  std::string text;
  if (used.lost_bytes > 0)
    absl::StrAppend(&text, BytesText(used.lost_bytes),
                    " of the card's memory, which the service was allocating when it ended, come "
                    "back with the next reset of the card");
  if (used.withheld_bytes > 0)
    absl::StrAppend(&text, text.empty() ? "" : "; ", BytesText(used.withheld_bytes),
                    " are withheld, since nobody knows whether somebody has them, until the driver "
                    "lets go of them, or the card is reset");
  return text;
}

}  // namespace hlbuf
