// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/die.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace hlbuf::bench {

void Die(const std::string& why) {
  std::fflush(stdout);
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, why.c_str());
  std::_Exit(1);
}

void DieErrno(const std::string& what) { Die(what + ": " + std::strerror(errno)); }

}  // namespace hlbuf::bench
