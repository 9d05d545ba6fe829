// SPDX-License-Identifier: Apache-2.0
// usage: soak_client SOCKET RECORD PLACE PEER_UID IMPORTER, with a SoakBoard as descriptor 3.
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

#include "tests/soak/client.h"

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: soak_client SOCKET RECORD PLACE PEER_UID IMPORTER|-\n");
    return 2;
  }
  void* board = ::mmap(nullptr, sizeof(hlbuf::SoakBoard), PROT_READ | PROT_WRITE, MAP_SHARED,
                       /* fd= */ 3, 0);
  if (board == MAP_FAILED) {
    std::perror("soak_client: the board");
    return 1;
  }
  return hlbuf::SoakClient({.socket_path = argv[1],
                            .record_path = argv[2],
                            .importer = argv[5],
                            .place = std::strtoul(argv[3], nullptr, 10),
                            .peer = static_cast<std::uint32_t>(std::strtoul(argv[4], nullptr, 10))},
                           *static_cast<hlbuf::SoakBoard*>(board))
      .Run();
}
