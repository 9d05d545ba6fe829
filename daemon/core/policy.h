// SPDX-License-Identifier: Apache-2.0
// Who may do what. A pure function of a peer, a verb and its target; the rule that decided has a
// name.
#ifndef HLBUF_DAEMON_CORE_POLICY_H_
#define HLBUF_DAEMON_CORE_POLICY_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "daemon/core/peer.h"

namespace hlbuf {

enum class Verb : std::uint8_t {
  kAllocate,  // on a device
  kOpen,      // a buffer
  kShare,     // and unshare, a buffer
};
absl::string_view VerbText(Verb verb);

// One line of the configuration. Empty lists match everything; a peer matches when its uid or one
// of its groups is listed.
struct Rule {
  std::string name;
  bool allow = false;
  std::vector<Verb> verbs;
  std::vector<uid_t> uids;
  std::vector<gid_t> gids;
  std::vector<std::string> devices;
};

// To whom a buffer was shared beyond its owner's domain.
struct Grantee {
  enum class Kind : std::uint8_t { kUid = 1, kGid = 2 };
  Kind kind = Kind::kUid;
  std::uint32_t id = kNobodyUid;

  friend bool operator==(const Grantee&, const Grantee&) = default;
  bool Matches(const Peer& peer) const {
    return kind == Kind::kUid ? peer.uid == id : peer.InGroup(id);
  }
};

// What a verb is about. For kAllocate there is no owner yet.
struct Target {
  absl::string_view device;
  const Domain* owner = nullptr;
  absl::Span<const Grantee> shares;
};

struct Decision {
  bool allowed = false;
  absl::string_view rule;        // lives as long as the policy
  std::optional<Grantee> share;  // set when it was this SHARE that decided
  // Refused: whose members may, by a rule that is built in.
  std::optional<gid_t> would_allow = std::nullopt;
};
// What helps against a refusal, in words.
std::string Remedy(Verb verb, const Decision& refused);

// The rules in the order of the configuration, then the built-in ones; the first that matches
// decides, and nothing matched is refused. Built in:
//
// - unknown-peer: refuses whom the kernel does not show to the daemon; before all others
// - service-may-allocate: the uid that the service runs as, outside of containers
// - clients-may-allocate: members of the clients' group
// - owner-domain: open and share what one's own domain owns
// - shared-with-uid, shared-with-gid: open what was shared
// - nothing-matched: refuses
class Policy {
 public:
  struct BuiltIn {
    std::optional<gid_t> clients_gid;
    std::optional<uid_t> service_uid;
  };
  Policy(std::vector<Rule> rules, BuiltIn built_in)
      : rules_(std::move(rules)), built_in_(built_in) {}

  Decision Decide(const Peer& peer, Verb verb, const Target& target) const;

 private:
  Decision DecideAllocate(const Peer& peer) const;
  static Decision DecideOnBuffer(const Peer& peer, Verb verb, const Target& target);

  std::vector<Rule> rules_;
  BuiltIn built_in_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_POLICY_H_
