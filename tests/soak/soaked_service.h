// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SOAK_SOAKED_SERVICE_H_
#define HLBUF_TESTS_SOAK_SOAKED_SERVICE_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>

#include "tests/support/child.h"

namespace hlbuf {

// What a soak kills and resets: a service with one device, dev0, and somebody who starts it again
// when it dies.
class SoakedService {
 public:
  virtual ~SoakedService() = default;
  virtual std::string client_socket() const = 0;
  virtual std::string control_socket() const = 0;
  virtual gid_t clients_gid() const = 0;
  // SIGKILL; returns when the next process is ready.
  virtual void Kill() = 0;
  // Begins a reset of the device, and does not wait for its end.
  virtual void BeginReset() = 0;
  // The device is READY in the epoch before still: asks again, if what was asked for may be lost.
  virtual void RepeatReset() {}
  // From there until the device is back.
  virtual int ResetPatienceMs() const { return kPatienceMs; }
  // An operator asks a buffer back; returns when that has ended, well or not.
  virtual void Revoke(std::uint64_t buffer) = 0;
  // How many the service and its keepers have, by whose they are.
  virtual std::map<std::string, std::uint64_t> CountDescriptors() = 0;
  // Node through which clients get at bytes that no processor can map; "-": they map them.
  virtual std::string importer() const { return "-"; }
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SOAK_SOAKED_SERVICE_H_
