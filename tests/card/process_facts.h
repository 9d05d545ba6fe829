// SPDX-License-Identifier: Apache-2.0
// What the kernel says of another process.
#ifndef HLBUF_TESTS_CARD_PROCESS_FACTS_H_
#define HLBUF_TESTS_CARD_PROCESS_FACTS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace hlbuf {

struct ChildFacts {
  std::string program;  // the name of its file; empty: it is a zombie
};

// Those whose parent is `pid`, zombies too.
std::vector<ChildFacts> ChildrenOf(pid_t pid);
// Memory that is neither a file's nor shared; 0: the process has gone.
std::uint64_t AnonymousBytesOf(pid_t pid);

}  // namespace hlbuf

#endif  // HLBUF_TESTS_CARD_PROCESS_FACTS_H_
