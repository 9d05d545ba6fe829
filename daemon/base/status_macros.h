// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_BASE_STATUS_MACROS_H_
#define HLBUF_DAEMON_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define HLBUF_CONCAT_INNER(a, b) a##b
#define HLBUF_CONCAT(a, b) HLBUF_CONCAT_INNER(a, b)

// Returns from the enclosing function when `expr` is not OK.
#define RETURN_IF_ERROR(expr)                          \
  do {                                                 \
    if (absl::Status s_ = (expr); !s_.ok()) return s_; \
  } while (false)

// Declares or assigns `lhs` from the value of the StatusOr `expr`, or returns its status.
#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_INNER(HLBUF_CONCAT(statusor_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_INNER(statusor, lhs, expr) \
  auto statusor = (expr);                           \
  if (!statusor.ok()) return statusor.status();     \
  lhs = *std::move(statusor)

#endif  // HLBUF_DAEMON_BASE_STATUS_MACROS_H_
