// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_REGISTRY_H_
#define HLBUF_DAEMON_CORE_REGISTRY_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "daemon/core/ids.h"
#include "daemon/core/records.h"

namespace hlbuf {

// All buffers by id and by name, and what became of those that were. Ids ascend, so `in_order()` is
// also the order of allocation; paging walks it.
class Registry {
 public:
  // How many freed buffers are remembered; an older stale id is answered NOT_FOUND.
  static constexpr std::size_t kRemembered = 16'384;

  BufferRecord& Add(std::unique_ptr<BufferRecord> buffer);
  BufferRecord* Find(BufferId id) const {
    const auto it = by_id_.find(id);
    return it == by_id_.end() ? nullptr : it->get();
  }
  // Names live from allocation until the buffer starts to drain; unique within a domain.
  BufferRecord* FindByName(const DomainAccount& owner, absl::string_view name) const;
  void DropName(const BufferRecord& buffer);
  // Forgets the record, remembers what became of it in words; nothing, if there are none.
  void Remove(BufferRecord& buffer, std::string fate);

  // What became of a buffer, or empty; also when it was neither that domain's nor, at its end,
  // shared with that peer.
  absl::string_view FateOf(BufferId id) const;
  absl::string_view FateOf(BufferId id, const Domain& asker) const;
  absl::string_view FateOf(BufferId id, const Peer& asker) const;

  const absl::btree_map<BufferId, BufferRecord*>& in_order() const { return in_order_; }
  std::size_t size() const { return by_id_.size(); }

 private:
  struct Fate {
    Domain owner;
    std::vector<Grantee> shares;  // as few as a buffer can have
    std::string text;
  };
  void Remember(const BufferRecord& buffer, std::string fate);
  using NameKey = std::pair<const DomainAccount*, absl::string_view>;
  struct ByName {
    using is_transparent = void;
    static NameKey KeyOf(const NameKey& key) { return key; }
    static NameKey KeyOf(const BufferRecord* buffer) { return {buffer->owner, buffer->name}; }
    template <class T>
    std::size_t operator()(const T& key) const {
      return absl::Hash<NameKey>()(KeyOf(key));
    }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return KeyOf(a) == KeyOf(b);
    }
  };

  RecordTable<BufferRecord> by_id_;
  absl::btree_map<BufferId, BufferRecord*> in_order_;
  absl::flat_hash_set<BufferRecord*, ByName, ByName> by_name_;
  absl::flat_hash_map<BufferId, Fate> fates_;
  std::deque<BufferId> fates_in_order_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_REGISTRY_H_
