// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_FAKE_MACHINE_H_
#define HLBUF_TESTS_SUPPORT_FAKE_MACHINE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/machine.h"

namespace hlbuf {

// 20,000 descriptors, 32 GiB, the groups hl-bufd-clients (900), operators (901) and nogroup.
inline Machine FakeMachine() {
  return {.nofile = 20'000,
          .memory_bytes = std::uint64_t{32} << 30,
          .maps_all_ids = true,
          .find_group = [](const std::string& name) -> std::optional<gid_t> {
            if (name == "hl-bufd-clients") return 900;
            if (name == "operators") return 901;
            if (name == "nogroup") return 65534;
            return std::nullopt;
          }};
}

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_FAKE_MACHINE_H_
