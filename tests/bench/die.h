// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_BENCH_DIE_H_
#define HLBUF_TESTS_BENCH_DIE_H_

#include <string>

namespace hlbuf::bench {

// A benchmark that cannot measure says why and ends with status 1. Its children end with it.
[[noreturn]] void Die(const std::string& why);
// The same, with what errno says.
[[noreturn]] void DieErrno(const std::string& what);

}  // namespace hlbuf::bench

#endif  // HLBUF_TESTS_BENCH_DIE_H_
