// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SYSTEM_KEPT_SCENE_H_
#define HLBUF_TESTS_SYSTEM_KEPT_SCENE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "tests/support/control_client.h"
#include "tests/support/texts.h"
#include "tests/system/installed_service.h"

namespace hlbuf {

// NFileDescriptorStore: the journal, the epoch page, and the way to one keeper.
inline constexpr const char* kAllStored = "3";

// The installed service, with two users who hold one buffer over what happens to it.
class KeptScene : public InstalledService {
 protected:
  static constexpr std::uint64_t kBytes = 64 << 10;

  // Alice has allocated it, written "before" into it and shared it with Bob, who has it open.
  void HoldABuffer();
  LibraryClient& alice() { return *alice_; }
  LibraryClient& bob() { return *bob_; }
  const HeldBuffer& made() const { return made_; }      // Alice's
  const HeldBuffer& opened() const { return opened_; }  // Bob's

  // Both look for notices, until the service has them back.
  void ComeBack();
  // Both come back, and have the same leases of the same memory; who opens it again gets that, too.
  void ExpectKept();
  // Alice is told that it is over, for `reason`; what she holds has its bytes still.
  void ExpectOver(const std::string& reason);
  // The service has nothing of it, and serves who comes.
  void ExpectEmptyAndHealthy();
  // The service has said that it cannot keep what it has.
  bool IsAlarmed() const { return Journal().find("may not survive") != std::string::npos; }
  // SIGKILL; returns when the next process serves.
  static void Crash();
  static std::string StoredCount() { return Show(kService, "NFileDescriptorStore"); }
  static ControlClient Control() { return ControlClient(kControlSocket); }

 private:
  static void ComeBack(LibraryClient& client, uid_t uid);

  std::unique_ptr<LibraryClient> alice_, bob_;
  HeldBuffer made_, opened_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SYSTEM_KEPT_SCENE_H_
