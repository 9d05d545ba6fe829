// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_INHERITANCE_H_
#define HLBUF_DAEMON_INHERITANCE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "daemon/base/poster.h"
#include "daemon/config.h"
#include "daemon/core/kept.h"
#include "daemon/core/observer.h"
#include "daemon/device/keeper_dialer.h"
#include "daemon/fd_store.h"
#include "daemon/notify_socket.h"
#include "daemon/passed_descriptors.h"
#include "daemon/persist/shared_epoch_page.h"
#include "daemon/state_journal.h"
#include "daemon/stored_state.h"

namespace hlbuf {

// What an earlier process of this service left, and what this one leaves to the next: the journal,
// the epoch page, and the keepers. With the service manager where it keeps them, in a directory
// where one is configured, else nothing. Broker thread.
class Inheritance {
 public:
  // Told of what is lost, or would be.
  using OnLoss = std::function<void(EventKind, const std::string&)>;

  // The references live longer. `on_counting`: of what the service manager keeps.
  Inheritance(Poster& poster, const Clock& clock, NotifySocket& notify, OnLoss on_loss,
              StoredState::OnCounting on_counting)
      : poster_(poster),
        clock_(clock),
        notify_(notify),
        on_loss_(std::move(on_loss)),
        on_counting_(std::move(on_counting)),
        journal_([this](const std::string& text) { on_loss_(EventKind::kJournalFailed, text); }) {}

  // Takes what is there out of `passed`, and has the manager forget what means nothing here.
  // Errors: those of making a journal where none can be had otherwise
  absl::Status Open(const Config& config, PassedDescriptors passed);

  StateJournal& journal() { return journal_; }
  const StateJournal& journal() const { return journal_; }
  SharedEpochPage& page() { return page_; }
  // null: no service manager keeps anything
  const StoredState* stored() const { return stored_.get(); }
  // Only after Open().
  KeeperDialer& keepers() { return *keepers_; }
  absl::Time NextDeadline() const {
    return stored_ != nullptr ? stored_->NextDeadline() : absl::InfiniteFuture();
  }
  void RunDeadlines() {
    if (stored_ != nullptr) stored_->RunDeadlines();
  }
  // What the journal had, once.
  Kept TakeKept() { return std::exchange(found_, {}).kept; }

 private:
  absl::Status OpenIn(const std::string& directory);
  absl::Status OpenStored(const Config& config);
  void OpenPage(std::uint64_t descriptors);

  Poster& poster_;
  const Clock& clock_;
  NotifySocket& notify_;
  const OnLoss on_loss_;
  const StoredState::OnCounting on_counting_;
  std::unique_ptr<FdStore> store_;
  std::unique_ptr<StoredState> stored_;
  std::unique_ptr<KeeperDialer> keepers_;
  StateJournal journal_;
  SharedEpochPage page_;
  StateJournal::Found found_;  // until it is made use of
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_INHERITANCE_H_
