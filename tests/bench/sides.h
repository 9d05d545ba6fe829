// SPDX-License-Identifier: Apache-2.0
// The operations that rows compare, as sides of Interleave(). Sessions outlive their sides.
#ifndef HLBUF_TESTS_BENCH_SIDES_H_
#define HLBUF_TESTS_BENCH_SIDES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/bench/floor.h"
#include "tests/bench/product.h"
#include "tests/bench/rounds.h"

namespace hlbuf::bench {

// One descriptor, asked for, received and closed: each of `ids` as likely as any other. What the
// product's client owes afterwards (RELEASE) is sent between the measurements.
Side OpenSide(Session& session, const std::vector<std::uint64_t>& ids);
// The same, of a floor with `descriptors`.
Side PassSide(FloorSession& session, std::size_t descriptors);

// All of `ids` in one message. One operation is the whole batch.
Side OpenManySide(Session& session, const std::vector<std::uint64_t>& ids);
Side PassManySide(FloorSession& session, std::size_t count);

// A new buffer of one page, received and given back.
Side AllocateSide(Session& session);
Side MakeSide(FloorSession& session);

}  // namespace hlbuf::bench

#endif  // HLBUF_TESTS_BENCH_SIDES_H_
