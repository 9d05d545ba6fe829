// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SOAK_SOAK_H_
#define HLBUF_TESTS_SOAK_SOAK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "tests/soak/record.h"
#include "tests/soak/soak_clients.h"
#include "tests/soak/soaked_service.h"
#include "tests/support/child.h"

namespace hlbuf {

// Clients that use a service, which is killed and reset meanwhile, and what they saw of that.
//
// What goes wrong in between is a failure of the test; whether the clients saw anything that they
// should not have, Judge() says. Needs root.
class Soak {
 public:
  static constexpr std::uint64_t kGrantsBetweenKills = 50;

  Soak(SoakedService& service, std::size_t clients);

  // Each kill after enough grants, every so often one in the middle of a reset; each of the
  // functions below says false when it makes no sense to go on.
  bool Run(int kills, int resets);

  bool Work(std::uint64_t grants, const std::function<bool()>& over = nullptr);
  void Kill();
  // What died of itself; `began`: when it lived for sure.
  void RecordEnd(std::uint64_t began);
  // An operator asks a buffer back that somebody has offered, if there is one.
  void Revoke();
  // A request that is refused.
  void AskInVain() const;
  // `meanwhile` is called when the first client was told; null: nothing. Until the device is back.
  bool Reset(const std::function<void()>& meanwhile = nullptr);
  // One that the service made of what it could not know; `began`: when its epoch lived for sure.
  void AwaitOwnReset(std::uint64_t began, std::uint64_t epoch);
  std::uint64_t Epoch() const { return Device().epoch; }
  // What the service says is leased, while no client asks for anything, all are there and nothing
  // is being asked back.
  bool TakeCensus();
  // All clients release what they hold and end; then nothing may be left.
  void End();

  // Counts by the names of history_check.py. Expects that nothing was wrong, and leaves the records
  // in the build directory if something was.
  std::map<std::string, int> Judge(std::uint64_t grants_between_kills = kGrantsBetweenKills);
  std::uint64_t revoked() const { return clients_->Revoked(); }

 private:
  struct DeviceNow {
    bool is_there = false;
    bool is_ready = false;
    std::uint64_t epoch = 0;
    std::uint64_t used_bytes = 0;
  };
  DeviceNow Device() const;
  void Tell(const std::string& what) const;

  SoakedService& service_;
  TemporaryDirectory directory_;
  Record record_;
  std::map<std::string, std::uint64_t> descriptors_;  // before the first client
  std::unique_ptr<SoakClients> clients_;
  int kills_ = 0, resets_ = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SOAK_SOAK_H_
