// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/lost_buffers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace hlbuf {
namespace {

std::string DomainWords(const Domain& domain) {
  return absl::StrCat("uid ", domain.uid, domain.container.empty() ? "" : " in ", domain.container);
}

std::string Words(const LostBuffer& lost) {
  std::string text = absl::StrCat("buffer ", IdText(lost.id));
  if (!lost.name.empty()) absl::StrAppend(&text, " '", lost.name, "'");
  absl::StrAppend(&text, " of ", DomainWords(lost.owner));
  if (lost.holders.empty()) return absl::StrCat(text, " (nobody had a lease)");
  const Holder& last = lost.holders.front();
  absl::StrAppend(&text, " (last lease: session ", IdText(last.session), ", ",
                  DomainWords(last.domain), " pid ", last.pid);
  const std::size_t more = lost.holders.size() - 1 + lost.holders_left_out;
  return absl::StrCat(text, more > 0 ? absl::StrCat(" and ", more, " more") : "", ")");
}

}  // namespace

LostBuffer LostBuffers::Of(const BufferRecord& buffer, absl::Time now) {
  LostBuffer lost = {.id = buffer.id,
                     .name = buffer.name,
                     .device = buffer.device,
                     .epoch = buffer.epoch,
                     .owner = buffer.owner->domain,
                     .size_bytes = buffer.allocation.size_bytes,
                     .inode = buffer.allocation.inode,
                     .job = buffer.job,
                     .revoked = buffer.revoked,
                     .since = buffer.since,
                     .given_up = now};
  const std::size_t shown = std::min(buffer.leases.size(), kHoldersMax);
  for (std::size_t i = 0; i < shown; ++i) lost.holders.push_back(HolderOf(*buffer.leases[i]));
  for (const LeaseRecord* lease : buffer.leases) lost.leases.push_back(lease->id);
  lost.holders_left_out = static_cast<std::uint32_t>(buffer.leases.size() - shown);
  return lost;
}

std::optional<LostBuffer> LostBuffers::Add(LostBuffer lost) {
  const Device* const device = lost.device;
  lost_.insert_or_assign(lost.id, std::move(lost));
  if (++counts_[device] <= kPerDeviceMax) return std::nullopt;
  const auto oldest = std::find_if(lost_.begin(), lost_.end(), [device](const auto& entry) {
    return entry.second.device == device;
  });
  std::optional<LostBuffer> forgotten = std::move(oldest->second);
  lost_.erase(oldest);
  --counts_[device];
  return forgotten;
}

void LostBuffers::Forget(const Device& device) {
  if (counts_.erase(&device) == 0) return;
  absl::erase_if(lost_, [&device](const auto& entry) { return entry.second.device == &device; });
}

const LostBuffer* LostBuffers::Find(BufferId id) const {
  const auto it = lost_.find(id);
  return it == lost_.end() ? nullptr : &it->second;
}

std::size_t LostBuffers::CountOf(const Device& device) const {
  const auto it = counts_.find(&device);
  return it == counts_.end() ? 0 : it->second;
}

std::string LostBuffers::Text(const Device& device) const {
  std::vector<std::string> named;
  for (const auto& [id, lost] : lost_)
    if (lost.device == &device && named.size() < kNamedMax) named.push_back(Words(lost));
  const std::size_t more = CountOf(device) - named.size();
  if (more > 0) named.push_back(absl::StrCat("and ", more, " more"));
  return absl::StrJoin(named, ", ");
}

}  // namespace hlbuf
