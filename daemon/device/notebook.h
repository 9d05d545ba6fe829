// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_NOTEBOOK_H_
#define HLBUF_DAEMON_DEVICE_NOTEBOOK_H_

#include <utility>

#include "daemon/core/backend.h"

namespace hlbuf {

// Where an exporter writes what a later process of this service has to know of the device. Worker
// thread. This one forgets everything.
class Notebook {
 public:
  virtual ~Notebook() = default;
  // Written before the call in which this is comes to its `done`.
  virtual void Write(DeviceNote /*note*/) {}
  // Written when this returns: for what is about to happen to the device, and must not be done and
  // forgotten. False: this process stops; do not do it.
  virtual bool WriteAhead(DeviceNote /*note*/) { return true; }
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_NOTEBOOK_H_
