// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_RELOAD_H_
#define HLBUF_DAEMON_RELOAD_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "daemon/base/poster.h"
#include "daemon/base/side_job.h"
#include "daemon/config.h"
#include "daemon/readiness.h"

namespace hlbuf {

// Reads the configuration. Any thread; may block.
using ConfigSource = std::function<absl::StatusOr<Config>()>;

// What a configuration that was read while the service runs makes of the one that it runs with.
struct Reread {
  Config config;
  // Where the new one differs and only a restart helps: "sockets", "device", ...
  std::vector<std::string> need_restart;
};
// Rules, roles, limits, times, enforcement, the log level and what TLS shows and believes are those
// of `read`; devices, sockets, state and where to listen over TCP stay as they are `running`. So do
// the limits when the devices differ, because they follow from those.
Reread MergeConfig(const Config& running, Config read);

// Reads the configuration again when asked to, on a thread of its own: the file, and the groups
// that it names, may be far away. A bad one changes nothing. Broker thread.
class Reload {
 public:
  using Apply = absl::AnyInvocable<void(const Config&)>;

  // The references outlive this. `apply` gets what to run with from then on.
  Reload(Poster& poster, Readiness& readiness, Config running, ConfigSource source, Apply apply);

  // While one is being read, the next one is read after that.
  void Request();
  const Config& running() const { return running_; }

 private:
  void Read();
  void Finish();
  // What the status is to say of it.
  std::string Take(absl::StatusOr<Config> read);

  Readiness& readiness_;
  Config running_;
  ConfigSource source_;
  Apply apply_;
  bool reading_ = false;
  bool once_more_ = false;
  absl::StatusOr<Config> read_;  // by the job, while it runs
  SideJob job_;                  // last: it uses the above
};

// A refused configuration, as it is told to the log: a line for each mistake.
void LogRefusedConfig(const absl::Status& refused);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_RELOAD_H_
