// SPDX-License-Identifier: Apache-2.0
// What an earlier process of this service left.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/core/broker.h"
#include "daemon/core/error.h"
#include "daemon/core/restoration.h"

namespace hlbuf {

void Broker::Restore(Kept kept, std::vector<NewDevice> devices) {
  for (NewDevice& added : devices) Add(std::move(added.name), std::move(added.backend));
  Restoration restoration(ledger_, absences_.absent(), std::move(kept));
  for (const auto& device : devices_)
    resets_.GoOn(*device, {.buffers = {}, .notes = restoration.TakeDevice(*device)});
  restoration.TakeRecords();
  for (Restoration::Asked& asked : restoration.TakeRevocations()) {
    if (asked.reset_of == nullptr)
      revocations_.GoOn(std::move(asked.earlier), [](const RevocationReport&) {});
    else
      revocations_.Begin(std::move(asked.earlier.report), asked.earlier.buffers,
                         resets_.WhenRevoked(*asked.reset_of));
  }
  restoration.TellWhatIsLost();
  absences_.Begin();
  for (const auto& device : devices_) resets_.Open(*device);
}

void Broker::WhenRestored(absl::Duration patience, absl::AnyInvocable<void() &&> done) {
  when_restored_ = std::move(done);
  if (resets_.AllResumed()) return TellRestored();
  ledger_.deadlines.At(ledger_.clock.Now() + patience, [this] { TellRestored(); });
}

void Broker::TellRestored() {
  if (auto done = std::exchange(when_restored_, nullptr)) std::move(done)();
}

void Broker::EndAbsence(SessionRecord& session) {
  const std::string why = absl::StrCat(kNotBack, absl::FormatDuration(absences_.grace()),
                                       " after this service was restarted");
  const bool missed_none = session.missed.empty();
  const SessionId id = session.id;
  while (!session.leases.empty()) EndLease(*session.leases.back(), LeaseEvent::kSessionEnded);
  if (missed_none) session.missed_why = why;
  absences_.Remember(session);
  session.state = Checked(Next(session.state, SessionEvent::kNotBack));
  ledger_.recorder.Forget(id);
  ledger_.Tell(EventKind::kSessionEnded, session,
               absl::StrCat(why, "; ", CountText(session.missed.size(), "lease"), " of it ended"));
  Forget(session);
}

absl::Status Broker::Stopping() {
  return Error(ErrorCode::kDeviceUnavailable,
               "this service is stopping; what is held is kept for when it runs again, ask then");
}

}  // namespace hlbuf
