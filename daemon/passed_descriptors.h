// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_PASSED_DESCRIPTORS_H_
#define HLBUF_DAEMON_PASSED_DESCRIPTORS_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// Descriptors that the service manager gave to this process, by name (sd_listen_fds(3)): listening
// sockets of socket units, and what lies in its store. They are close-on-exec.
class PassedDescriptors {
 public:
  PassedDescriptors() = default;
  explicit PassedDescriptors(std::vector<std::pair<std::string, UniqueFd>> named)
      : named_(std::move(named)) {}

  // Adopts them all; nothing that this process starts takes them for its own. Once.
  // Errors: the environment says something that cannot be.
  static absl::StatusOr<PassedDescriptors> Adopt();

  // The first one of this name that was not taken yet; nullopt: there is none.
  std::optional<UniqueFd> Take(absl::string_view name);
  // The names of those that nobody took, in their order.
  std::vector<std::string> Left() const;

 private:
  std::vector<std::pair<std::string, UniqueFd>> named_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_PASSED_DESCRIPTORS_H_
