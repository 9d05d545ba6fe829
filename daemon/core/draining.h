// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_DRAINING_H_
#define HLBUF_DAEMON_CORE_DRAINING_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "daemon/core/blind_buffers.h"
#include "daemon/core/device.h"
#include "daemon/core/inquiry.h"
#include "daemon/core/ledger.h"

namespace hlbuf {

// Takes buffers from their last lease to FREED: waits for the proof where the device gives one, for
// the leases where it does not, then lets the device take the memory back. Until then the memory
// stays charged to the buffer's owner.
class Draining {
 public:
  // Told once for each drained buffer, when nobody else holds it any more (PROVEN or ACKNOWLEDGED),
  // or when it was given up (HELD).
  using LetGo = absl::AnyInvocable<void(BufferRecord&, Verdict)>;
  // Told for each count that was above zero.
  using Counted = absl::AnyInvocable<void(BufferRecord&)>;

  // Told when the memory of a buffer is the device's again, and its record gone.
  using Freed = absl::AnyInvocable<void(const Device&)>;

  Draining(Ledger& ledger, Inquiry& inquiry, LetGo let_go, Counted counted, Freed freed)
      : ledger_(ledger),
        inquiry_(inquiry),
        let_go_(std::move(let_go)),
        counted_(std::move(counted)),
        freed_(std::move(freed)),
        blind_(ledger, [this](BufferRecord& buffer) { OnFreed(buffer, absl::OkStatus()); }) {}

  // For a device that was added: makes its ReleaseProof.
  std::unique_ptr<ReleaseProof> MakeProof(Backend& backend);

  // `on` is what ends the buffer's life: its last lease, or a deadline.
  void Begin(BufferRecord& buffer, BufferEvent on);
  // An ALLOCATING buffer whose export failed, or came too late to be granted. Nobody ever saw it:
  // there is nothing to wait for, and a closing device waits for this.
  void BeginUngranted(BufferRecord& buffer);
  // The device is reset, and the memory goes with it: whoever still has the buffer has nothing that
  // could be waited for. A closing device waits until our own descriptor of it is closed.
  void GiveUp(BufferRecord& buffer);
  // The device is open as before, and has said what became of the descriptor of a `returning`
  // buffer.
  void TakeBack(BufferRecord& buffer, UniqueFd fd);
  // The device has lost its memory while this service did not run: nothing of the buffer is left.
  void Lose(BufferRecord& buffer);
  // A lease of a DRAINING buffer ended.
  void OnLeaseEnded(BufferRecord& buffer);

 private:
  // What the end of a DRAINING buffer waits for.
  void Await(BufferRecord& buffer);
  void AcknowledgeBlind(BufferRecord& buffer);
  void OnCount(BufferId id, std::uint32_t references);
  void Finish(BufferRecord& buffer, Verdict verdict);
  void Free(BufferRecord& buffer);
  void OnFreed(BufferRecord& buffer, const absl::Status& freed);
  void Forget(BufferRecord& buffer, std::string fate);
  static std::string FateOf(const BufferRecord& buffer);

  Ledger& ledger_;
  Inquiry& inquiry_;
  LetGo let_go_;
  Counted counted_;
  Freed freed_;
  BlindBuffers blind_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_DRAINING_H_
