// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_STORED_STATE_H_
#define HLBUF_DAEMON_STORED_STATE_H_

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "daemon/base/clock.h"
#include "daemon/base/poster.h"
#include "daemon/base/side_job.h"
#include "daemon/device/keeper_store.h"
#include "daemon/fd_store.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// What this service has in the service manager's store for its next life: the journal, the epoch
// page, and one connection for each device's keeper.
//
// Broker thread, but for what KeeperStore has. What is put there is pushed before anything that was
// posted later is done. Whether the manager has what it should, and no more, is asked behind each
// push and removal, and again where nobody has answered.
class StoredState final : public KeeperStore {
 public:
  // What the journal of an earlier life is called that could not be read.
  static constexpr const char* kJournalAside = "journal-bad";
  // Told, in words, when something is found not to be kept.
  using OnTrouble = std::function<void(const std::string&)>;

  // Told when it begins to be asked for (true), and when nothing is asked any more.
  using OnCounting = std::function<void(bool)>;
  // To the next question, where the last one had no answer.
  static constexpr absl::Duration kRepeatPause = absl::Seconds(30);

  // Takes the connections called `keepers`. The references live longer.
  StoredState(
      FdStore& store, Poster& poster, const Clock& clock, absl::Span<const std::string> keepers,
      OnTrouble on_trouble, OnCounting on_counting = [](bool) {});
  // The journal of the last life; no descriptor: there is none. One that was set aside stays stored
  // until another one is.
  UniqueFd TakeJournal();
  // Stores `journal`, if it is not the one that was taken: that stays where it is, for between a
  // removal and a push there would be none. With `aside`, which is that one then, it takes its
  // place, and that one another, for people to look at. Errors: those of FdStore::Push()
  absl::Status PutJournal(int journal, const UniqueFd& aside);
  // Likewise the epoch page.
  UniqueFd TakeEpochPage();
  absl::Status PutEpochPage(int page);

  absl::Time NextDeadline() const { return repeat_; }
  void RunDeadlines();

  // The manager has said that it keeps everything.
  bool verified() const { return verified_; }
  // What it does not keep, as far as is known; empty: nothing.
  std::vector<std::string> troubles() const;

  void Put(const std::string& name, UniqueFd connection) override;
  void Remove(const std::string& name) override;
  UniqueFd Take(const std::string& name) override;

 private:
  absl::Status Replace(const std::string& name, int fd);
  void DropWhatCame(const std::string& name);
  void Verify();
  void OnVerified(const absl::Status& verified);

  FdStore& store_;
  Poster& poster_;
  const Clock& clock_;
  std::mutex lock_;  // of came_, which workers ask
  absl::flat_hash_map<std::string, UniqueFd> came_;
  const OnTrouble on_trouble_;
  const OnCounting on_counting_;
  bool has_journal_ = false;
  bool verified_ = false;
  std::string unverified_;                           // why it is not, when it was asked
  absl::btree_map<std::string, std::string> unput_;  // by their names: why they are not there
  bool verifying_ = false;
  bool verify_again_ = false;
  absl::Time repeat_ = absl::InfiniteFuture();
  SideJob side_;  // last: its work ends before the rest
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_STORED_STATE_H_
