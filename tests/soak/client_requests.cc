// SPDX-License-Identifier: Apache-2.0
// What a client of the soak asks of the service.
#include <sys/stat.h>

#include <utility>

#include "tests/soak/client.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kPagesMax = 4;
constexpr std::size_t kOpenedAtOnceMax = 4;

std::uint64_t InodeOf(int fd) {
  struct stat file = {};
  return ::fstat(fd, &file) == 0 ? file.st_ino : 0;
}

// A request that has just been answered.
Line Answered(const char* what, std::uint64_t began, int code) {
  Line line(what);
  line.Add("began", began).Add("ended", MonotonicNs());
  return line.Add("code", std::string(hlbuf_error_name(code)));
}

void AddGrant(Line& line, const Buffer& buffer) {
  line.Add("buffer", buffer.id()).Add("lease", buffer.lease_id()).Add("epoch", buffer.epoch());
  line.Add("inode", InodeOf(buffer.fd())).Add("bytes", buffer.size_bytes());
}

}  // namespace

void SoakClient::Allocate() {
  const std::uint64_t began = MonotonicNs();
  // Who waits in a call does not hear what is asked back meanwhile.
  const bool waits = held_.empty();
  Result<Buffer> result = client_->TryAllocate(
      {.size_bytes = (1 + dice_() % kPagesMax) * kPageBytes, .wait_for_device = waits});
  Line line = Answered("allocate", began, result.ok() ? HLBUF_OK : result.error().code);
  if (result.ok()) AddGrant(line, *result);
  record_.Write(line);
  if (!result.ok()) return;
  Held* held = Keep(std::move(result).value(), /* own= */ true);
  if (held == nullptr) return;
  Write(*held);
  Write(*held);  // the other half
  ShareOrNot(*held);
  if (held->memory != nullptr) place_.offered = held->buffer.id();
}

void SoakClient::Opened(Line& line, Result<Buffer>& result) {
  if (result.ok()) AddGrant(line, *result);
  record_.Write(line);
  if (!result.ok()) return;
  Held* held = Keep(std::move(result).value(), /* own= */ false);
  if (held != nullptr) Read(*held);
}

void SoakClient::OpenOne() {
  const std::uint64_t id = SomethingOffered();
  if (id == 0) return;
  const std::uint64_t began = MonotonicNs();
  Result<Buffer> result = client_->TryOpenId(id);
  Line line = Answered("open", began, result.ok() ? HLBUF_OK : result.error().code);
  Opened(line.Add("asked", id), result);
}

void SoakClient::OpenSome() {
  std::vector<hlbuf_open_item> items;
  for (std::size_t i = 0; i < kOpenedAtOnceMax; ++i)
    if (const std::uint64_t id = SomethingOffered(); id != 0) items.push_back({.buffer_id = id});
  if (items.empty()) return;
  const std::uint64_t began = MonotonicNs();
  auto results = client_->TryOpenMany(items);
  if (!results.ok()) return record_.Write(Answered("open", began, results.error().code));
  for (std::size_t i = 0; i < items.size(); ++i) {
    Result<Buffer>& result = (*results)[i];
    Line line = Answered("open", began, result.ok() ? HLBUF_OK : result.error().code);
    Opened(line.Add("asked", items[i].buffer_id), result);
  }
}

// By anybody, this client too; 0: there is nothing.
std::uint64_t SoakClient::SomethingOffered() {
  std::vector<std::uint64_t> offers;
  for (const SoakPlace& place : board_.places)
    if (const std::uint64_t id = place.offered; id != 0) offers.push_back(id);
  return offers.empty() ? 0 : offers[dice_() % offers.size()];
}

// Mostly yes. To take back what was not shared is fine.
void SoakClient::ShareOrNot(Held& held) {
  const bool share = dice_() % 4 != 0;
  const std::uint64_t id = held.buffer.id(), began = MonotonicNs();
  const int code = share ? client_->Share(id, HLBUF_GRANTEE_UID, options_.peer)
                         : client_->Unshare(id, HLBUF_GRANTEE_UID, options_.peer);
  Line line = Answered(share ? "share" : "unshare", began, code);
  record_.Write(line.Add("buffer", id));
}

}  // namespace hlbuf
