// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_MAKE_BACKENDS_H_
#define HLBUF_DAEMON_DEVICE_MAKE_BACKENDS_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "daemon/base/reactor.h"
#include "daemon/core/backend.h"
#include "daemon/core/observer.h"
#include "daemon/device/device_config.h"
#include "daemon/device/keeper_dialer.h"
#include "daemon/device/syscalls.h"

namespace hlbuf {

// Told of a device whose keeper has died (kKeeperLost), or that not all it has is kept though
// nobody died (kStateUnkept), and what that means. Any thread.
using TellOfKeeper =
    std::function<void(EventKind kind, const std::string& device, const std::string& text)>;

// The backend that `config` asks for, on a thread of its own, not open yet: whether there is such a
// device at all, Open() tells. `reactor`, `syscalls` and `keepers`, from which it gets one keeper,
// live longer. nullptr: nothing is kept over the end of this process.
//
// Errors: INVALID_ARGUMENT, which names the setting
absl::StatusOr<std::unique_ptr<Backend>> MakeBackend(const DeviceConfig& config, Reactor& reactor,
                                                     Syscalls& syscalls,
                                                     KeeperDialer* keepers = nullptr,
                                                     TellOfKeeper tell = nullptr);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_MAKE_BACKENDS_H_
