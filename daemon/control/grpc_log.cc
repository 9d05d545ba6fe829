// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/grpc_log.h"

#include <grpc/support/log.h>

#include <cstdint>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/log.h"
#include "daemon/base/rate_limit.h"

namespace hlbuf {
namespace {

// gRPC's threads meet here.
struct Said {
  std::mutex mutex;
  BootClock clock;
  RateLimit<int> limit{clock, {.burst = 8, .interval = absl::Seconds(10)}, 1};
  std::uint64_t left_out = 0;
};

void Say(gpr_log_func_args* args) {
  static Said& said = *new Said;  // gRPC's threads may outlive everything
  std::uint64_t left_out = 0;
  {
    const std::lock_guard lock(said.mutex);
    if (!said.limit.Admit(0)) {
      ++said.left_out;
      return;
    }
    left_out = std::exchange(said.left_out, 0);
  }
  Log(args->severity == GPR_LOG_SEVERITY_ERROR ? LogLevel::kWarning : LogLevel::kDebug,
      absl::StrCat(
          "gRPC: ", args->message,
          left_out > 0 ? absl::StrCat(" (", left_out, " more before were not logged)") : ""));
}

}  // namespace

void TakeGrpcLog() { gpr_set_log_function(Say); }

}  // namespace hlbuf
