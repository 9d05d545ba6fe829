// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/policy.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

template <class T, class U>
bool EmptyOrHas(const std::vector<T>& list, const U& value) {
  return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
}

bool PeerMatches(const Rule& rule, const Peer& peer) {
  if (rule.uids.empty() && rule.gids.empty()) return true;
  if (!rule.uids.empty() && EmptyOrHas(rule.uids, peer.uid)) return true;
  return std::any_of(rule.gids.begin(), rule.gids.end(),
                     [&](gid_t gid) { return peer.InGroup(gid); });
}

bool Matches(const Rule& rule, const Peer& peer, Verb verb, const Target& target) {
  return EmptyOrHas(rule.verbs, verb) && EmptyOrHas(rule.devices, target.device) &&
         PeerMatches(rule, peer);
}

constexpr Decision kNothingMatched = {
    .allowed = false, .rule = "nothing-matched", .share = std::nullopt};

}  // namespace

absl::string_view VerbText(Verb verb) {
  static constexpr std::array<absl::string_view, 3> kNames = {"allocate", "open", "share"};
  return kNames[static_cast<std::size_t>(verb)];
}

std::string Remedy(Verb verb, const Decision& refused) {
  if (verb == Verb::kOpen) return "its owner can SHARE it";
  if (!refused.would_allow.has_value()) return "the administrator's [[rule]]s decide";
  return absl::StrCat("it is not in the group of the clients, gid ", *refused.would_allow,
                      " ([sockets] clients_group); its members may, and whom a [[rule]] allows");
}

Decision Policy::Decide(const Peer& peer, Verb verb, const Target& target) const {
  if (!peer.known()) return {.allowed = false, .rule = "unknown-peer", .share = std::nullopt};
  for (const Rule& rule : rules_)
    if (Matches(rule, peer, verb, target))
      return {.allowed = rule.allow, .rule = rule.name, .share = std::nullopt};
  return verb == Verb::kAllocate ? DecideAllocate(peer) : DecideOnBuffer(peer, verb, target);
}

Decision Policy::DecideAllocate(const Peer& peer) const {
  if (built_in_.service_uid == peer.uid && peer.container.empty())
    return {.allowed = true, .rule = "service-may-allocate", .share = std::nullopt};
  if (built_in_.clients_gid.has_value() && peer.InGroup(*built_in_.clients_gid))
    return {.allowed = true, .rule = "clients-may-allocate", .share = std::nullopt};
  Decision refused = kNothingMatched;
  refused.would_allow = built_in_.clients_gid;
  return refused;
}

Decision Policy::DecideOnBuffer(const Peer& peer, Verb verb, const Target& target) {
  if (target.owner->uid == peer.uid && target.owner->container == peer.container)
    return {.allowed = true, .rule = "owner-domain", .share = std::nullopt};
  if (verb != Verb::kOpen) return kNothingMatched;
  for (const Grantee& share : target.shares) {
    if (!share.Matches(peer)) continue;
    const bool uid = share.kind == Grantee::Kind::kUid;
    return {.allowed = true, .rule = uid ? "shared-with-uid" : "shared-with-gid", .share = share};
  }
  return kNothingMatched;
}

}  // namespace hlbuf
