// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/registry.h"

#include <algorithm>

namespace hlbuf {

BufferRecord& Registry::Add(std::unique_ptr<BufferRecord> buffer) {
  BufferRecord& record = *buffer;
  if (!record.name.empty()) by_name_.insert(&record);
  in_order_.emplace_hint(in_order_.end(), record.id, &record);
  by_id_.insert(std::move(buffer));
  return record;
}

BufferRecord* Registry::FindByName(const DomainAccount& owner, absl::string_view name) const {
  const auto it = by_name_.find(NameKey(&owner, name));
  return it == by_name_.end() ? nullptr : *it;
}

void Registry::DropName(const BufferRecord& buffer) {
  const auto it = by_name_.find(NameKey(buffer.owner, buffer.name));
  if (it != by_name_.end() && *it == &buffer) by_name_.erase(it);
}

void Registry::Remove(BufferRecord& buffer, std::string fate) {
  DropName(buffer);
  if (!fate.empty()) Remember(buffer, std::move(fate));
  in_order_.erase(buffer.id);
  by_id_.erase(buffer.id);
}

void Registry::Remember(const BufferRecord& buffer, std::string fate) {
  fates_.emplace(
      buffer.id,
      Fate{.owner = buffer.owner->domain, .shares = buffer.shares, .text = std::move(fate)});
  fates_in_order_.push_back(buffer.id);
  if (fates_in_order_.size() > kRemembered) {
    fates_.erase(fates_in_order_.front());
    fates_in_order_.pop_front();
  }
}

absl::string_view Registry::FateOf(BufferId id) const {
  const auto it = fates_.find(id);
  return it == fates_.end() ? absl::string_view() : absl::string_view(it->second.text);
}

absl::string_view Registry::FateOf(BufferId id, const Domain& asker) const {
  const auto it = fates_.find(id);
  return it != fates_.end() && it->second.owner == asker ? absl::string_view(it->second.text)
                                                         : absl::string_view();
}

absl::string_view Registry::FateOf(BufferId id, const Peer& asker) const {
  const auto it = fates_.find(id);
  if (it == fates_.end() || !asker.known()) return {};
  const Fate& fate = it->second;
  const bool told = fate.owner == asker.domain() ||
                    std::any_of(fate.shares.begin(), fate.shares.end(),
                                [&asker](const Grantee& share) { return share.Matches(asker); });
  return told ? absl::string_view(fate.text) : absl::string_view();
}

}  // namespace hlbuf
