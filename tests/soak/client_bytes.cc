// SPDX-License-Identifier: Apache-2.0
// What a client of the soak writes and reads.
#include <cerrno>
#include <cstring>

#include "tests/soak/client.h"
#include "tests/soak/pattern.h"

namespace hlbuf {

void SoakClient::Write(Held& held) {
  if (held.memory == nullptr) return;  // revoked
  const Stamp stamp = {
      .buffer = held.buffer.id(), .writer = options_.place, .counter = held.writes++};
  std::vector<std::uint64_t> half(held.buffer.size_bytes() / sizeof(std::uint64_t) / 2);
  Fill(half, stamp);
  const std::uint64_t began = MonotonicNs();
  if (!held.memory->Write(stamp.counter % 2 == 0 ? 0 : half.size(), half))
    Fail(std::string("write: ") + std::strerror(errno));
  Line line("write");
  line.Add("began", began).Add("ended", MonotonicNs()).Add("buffer", stamp.buffer);
  record_.Write(line.Add("counter", stamp.counter));
}

void SoakClient::Read(Held& held) {
  if (held.memory == nullptr) return;  // revoked
  std::vector<std::uint64_t> half(held.buffer.size_bytes() / sizeof(std::uint64_t) / 2);
  std::string halves;
  const std::uint64_t began = MonotonicNs();
  for (std::size_t i = 0; i < 2; ++i) {
    if (!held.memory->Read(i * half.size(), half))
      Fail(std::string("read: ") + std::strerror(errno));
    const Finding found = Judge(half);
    const Stamp& stamp = found.stamp;
    halves += i == 0 ? "[" : ",";
    if (found.kind == Finding::Kind::kWhole)
      halves += '[' + std::to_string(stamp.buffer) + ',' + std::to_string(stamp.writer) + ',' +
                std::to_string(stamp.counter) + ']';
    else
      halves += found.kind == Finding::Kind::kBlank ? "\"blank\"" : "\"torn\"";
  }
  Line line("read");
  line.Add("began", began).Add("ended", MonotonicNs()).Add("buffer", held.buffer.id());
  record_.Write(line.Add("lease", held.buffer.lease_id()).AddJson("halves", halves + ']'));
}

}  // namespace hlbuf
