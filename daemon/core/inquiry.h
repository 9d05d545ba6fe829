// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_INQUIRY_H_
#define HLBUF_DAEMON_CORE_INQUIRY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "daemon/core/ledger.h"
#include "daemon/core/witness.h"

namespace hlbuf {

// Asks the witness, if there is one, who has buffers that have not come back, and tells it:
// HOLDERS_FOUND.
class Inquiry {
 public:
  // By buffer; one that is missing was not looked for, or has come back meanwhile.
  using Seen = absl::flat_hash_map<BufferId, OutsideHolders>;
  using Done = absl::AnyInvocable<void(const Seen&) &&>;

  // Of events for one answer: a reset can leave thousands of buffers out.
  static constexpr std::size_t kToldMax = 64;
  // Between two questions for buffers that outlive their leases. Clients decide how many there are,
  // and each question has all processes looked at.
  static constexpr absl::Duration kOutlivedPause = absl::Seconds(10);

  // `witness` may be null.
  Inquiry(Ledger& ledger, Witness* witness) : ledger_(ledger), witness_(witness) {}

  // False: nobody can be asked, and `done` is not called. Else it is called later, after the
  // events; with nothing, if no answer came.
  bool Ask(absl::Span<BufferRecord* const> buffers, RevocationId revocation, Done done);
  // References of `buffer` outlive its leases. Asked for with others of its kind.
  void AskSoon(const BufferRecord& buffer);

 private:
  Seen Judge(const std::vector<BufferId>& asked, const Testimony& testimony) const;
  void TellAll(const std::vector<BufferId>& asked, const Seen& seen, RevocationId revocation);
  void AskOfOutlived();

  Ledger& ledger_;
  Witness* const witness_;
  std::vector<BufferId> outlived_;  // waiting to be asked for; the timer runs
  absl::Time next_outlived_ = absl::InfinitePast();
};

// "1 lease", "2 leases"
std::string CountText(std::uint64_t count, absl::string_view noun);

// "pid 4711 (python3, uid 1000) has 1 descriptor without a lease, importer mlx5_0; 1 reference is
// unexplained"; empty: nobody was found, and nothing is unexplained.
std::string HoldersText(const OutsideHolders& found);

// What to do where nobody could be asked.
std::string HowToAsk(BufferId buffer);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_INQUIRY_H_
