// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/policy.h"

#include <gtest/gtest.h>

namespace hlbuf {
namespace {

constexpr gid_t kClients = 900;
constexpr uid_t kService = 800;
const Domain kAlicesDomain = {.uid = 1000, .container = ""};

Peer Someone(uid_t uid, std::string container = "", std::vector<gid_t> groups = {}) {
  return {.uid = uid,
          .gid = uid,
          .groups = std::move(groups),
          .pid = 42,
          .container = std::move(container)};
}
Peer Client(uid_t uid, std::string container = "") {
  return Someone(uid, std::move(container), {kClients});
}

Policy BuiltIn(std::vector<Rule> rules = {}) {
  return Policy(std::move(rules), {.clients_gid = kClients, .service_uid = kService});
}

// "allowed by RULE", or "refused by RULE".
std::string Asked(const Policy& policy, const Peer& peer, Verb verb, const Target& target) {
  const Decision decision = policy.Decide(peer, verb, target);
  return std::string(decision.allowed ? "allowed by " : "refused by ") + std::string(decision.rule);
}
std::string AskedToAllocate(const Policy& policy, const Peer& peer) {
  return Asked(policy, peer, Verb::kAllocate, {.device = "dev0"});
}
std::string AskedToOpen(const Policy& policy, const Peer& peer, std::vector<Grantee> shares = {}) {
  return Asked(policy, peer, Verb::kOpen,
               {.device = "dev0", .owner = &kAlicesDomain, .shares = shares});
}

TEST(Policy, LetsMembersOfTheClientsGroupAllocate) {
  EXPECT_EQ(AskedToAllocate(BuiltIn(), Client(1000)), "allowed by clients-may-allocate");
  EXPECT_EQ(AskedToAllocate(BuiltIn(), Client(1000, "pod")), "allowed by clients-may-allocate");
  EXPECT_EQ(AskedToAllocate(BuiltIn(), Someone(1000)), "refused by nothing-matched");
}

TEST(Policy, SaysWhoseMembersMayAllocate) {
  const auto remedy = [](const Policy& policy) {
    return Remedy(Verb::kAllocate,
                  policy.Decide(Someone(1000), Verb::kAllocate, {.device = "dev0"}));
  };
  EXPECT_EQ(remedy(BuiltIn()),
            "it is not in the group of the clients, gid 900 ([sockets] clients_group); its members "
            "may, and whom a [[rule]] allows");
  EXPECT_EQ(remedy(Policy({}, {})), "the administrator's [[rule]]s decide");
  EXPECT_EQ(remedy(BuiltIn({{.name = "closed", .allow = false}})),
            "the administrator's [[rule]]s decide");
}

TEST(Policy, CountsThePrimaryGroupToo) {
  Peer peer = Someone(1000);
  peer.gid = kClients;
  EXPECT_EQ(AskedToAllocate(BuiltIn(), peer), "allowed by clients-may-allocate");
}

TEST(Policy, LetsTheServiceItselfAllocateButNotItsUidInAContainer) {
  EXPECT_EQ(AskedToAllocate(BuiltIn(), Someone(kService)), "allowed by service-may-allocate");
  EXPECT_EQ(AskedToAllocate(BuiltIn(), Someone(kService, "pod")), "refused by nothing-matched");
}

TEST(Policy, LetsNobodyAllocateWhereNoGroupIsKnown) {
  EXPECT_EQ(AskedToAllocate(Policy({}, {}), Client(1000)), "refused by nothing-matched");
  EXPECT_EQ(AskedToAllocate(Policy({}, {}), Someone(0)), "refused by nothing-matched");
}

TEST(Policy, OpensABufferToItsOwnersDomainAlone) {
  EXPECT_EQ(AskedToOpen(BuiltIn(), Someone(1000)), "allowed by owner-domain");
  EXPECT_EQ(AskedToOpen(BuiltIn(), Someone(1000, "pod")), "refused by nothing-matched");
  EXPECT_EQ(AskedToOpen(BuiltIn(), Client(1001)), "refused by nothing-matched");
  EXPECT_EQ(AskedToOpen(BuiltIn(), Someone(0)), "refused by nothing-matched");
}

TEST(Policy, TakesTwoContainersOfOneUidForTwoDomains) {
  const Domain pod_a = {.uid = 0, .container = "pod-a"};
  const Target target = {.device = "dev0", .owner = &pod_a};
  EXPECT_EQ(Asked(BuiltIn(), Someone(0, "pod-a"), Verb::kOpen, target), "allowed by owner-domain");
  EXPECT_EQ(Asked(BuiltIn(), Someone(0, "pod-b"), Verb::kOpen, target),
            "refused by nothing-matched");
}

TEST(Policy, OpensASharedBufferAndSaysWhichShareDecided) {
  const Grantee uid = {.kind = Grantee::Kind::kUid, .id = 1001};
  const Grantee gid = {.kind = Grantee::Kind::kGid, .id = 50};
  const std::vector<Grantee> shares = {gid, uid};
  EXPECT_EQ(AskedToOpen(BuiltIn(), Someone(1001), shares), "allowed by shared-with-uid");
  EXPECT_EQ(AskedToOpen(BuiltIn(), Someone(1002, "", {7, 50, 60}), shares),
            "allowed by shared-with-gid");
  EXPECT_EQ(AskedToOpen(BuiltIn(), Someone(1002, "", {7, 60}), shares),
            "refused by nothing-matched");
  const Decision decision = BuiltIn().Decide(
      Someone(1001), Verb::kOpen, {.device = "dev0", .owner = &kAlicesDomain, .shares = shares});
  EXPECT_EQ(decision.share, uid);
}

TEST(Policy, LetsAUidShareReachAContainerOfThatUid) {
  const std::vector<Grantee> shares = {{.kind = Grantee::Kind::kUid, .id = 1001}};
  EXPECT_EQ(AskedToOpen(BuiltIn(), Someone(1001, "pod"), shares), "allowed by shared-with-uid");
}

TEST(Policy, LetsOnlyTheOwnersDomainShare) {
  const std::vector<Grantee> shares = {{.kind = Grantee::Kind::kUid, .id = 1001}};
  const Target target = {.device = "dev0", .owner = &kAlicesDomain, .shares = shares};
  EXPECT_EQ(Asked(BuiltIn(), Someone(1000), Verb::kShare, target), "allowed by owner-domain");
  EXPECT_EQ(Asked(BuiltIn(), Someone(1001), Verb::kShare, target), "refused by nothing-matched");
}

// What each of them would be allowed, were it known.
TEST(Policy, MatchesNobodyToNothing) {
  Policy everything({{.name = "all", .allow = true}}, {.clients_gid = kClients});
  for (const uid_t uid : {uid_t{65534}, static_cast<uid_t>(-1)})
    EXPECT_EQ(AskedToAllocate(everything, Client(uid)), "refused by unknown-peer") << uid;
  Peer invisible = Client(1000);
  invisible.pid = 0;
  EXPECT_EQ(AskedToAllocate(everything, invisible), "refused by unknown-peer");
  EXPECT_EQ(AskedToOpen(everything, invisible), "refused by unknown-peer");
  EXPECT_EQ(AskedToAllocate(everything, Client(1000)), "allowed by all");
}

TEST(Policy, LetsNobodysGroupMatchNothing) {
  Peer unmapped = Someone(1001, "", {65534});
  unmapped.gid = 65534;
  EXPECT_FALSE(unmapped.InGroup(65534));
  const std::vector<Grantee> shares = {{.kind = Grantee::Kind::kGid, .id = 65534}};
  EXPECT_EQ(AskedToOpen(BuiltIn(), unmapped, shares), "refused by nothing-matched");
}

TEST(Rules, DecideInTheirOrderBeforeWhatIsBuiltIn) {
  const Policy policy = BuiltIn({{.name = "not-bob", .allow = false, .uids = {1001}},
                                 {.name = "bob", .allow = true, .uids = {1001}},
                                 {.name = "carol", .allow = true, .uids = {1002}}});
  EXPECT_EQ(AskedToAllocate(policy, Client(1001)), "refused by not-bob");
  EXPECT_EQ(AskedToAllocate(policy, Someone(1002)), "allowed by carol");
  EXPECT_EQ(AskedToAllocate(policy, Client(1003)), "allowed by clients-may-allocate");
}

TEST(Rules, MatchByUidOrByGroup) {
  const Policy policy = BuiltIn({{.name = "r", .allow = true, .uids = {1001}, .gids = {50, 51}}});
  EXPECT_EQ(AskedToAllocate(policy, Someone(1001)), "allowed by r");
  EXPECT_EQ(AskedToAllocate(policy, Someone(1002, "", {51})), "allowed by r");
  EXPECT_EQ(AskedToAllocate(policy, Someone(1002, "", {52})), "refused by nothing-matched");
}

TEST(Rules, MatchTheirVerbsAndDevicesOnly) {
  const Policy policy = BuiltIn(
      {{.name = "r", .allow = false, .verbs = {Verb::kAllocate}, .devices = {"dev0", "dev1"}}});
  EXPECT_EQ(AskedToAllocate(policy, Client(1000)), "refused by r");
  EXPECT_EQ(Asked(policy, Client(1000), Verb::kAllocate, {.device = "dev2"}),
            "allowed by clients-may-allocate");
  EXPECT_EQ(AskedToOpen(policy, Client(1000)), "allowed by owner-domain");
}

TEST(Rules, CanOpenABufferToOthersWithoutAnyShare) {
  const Policy policy =
      BuiltIn({{.name = "r", .allow = true, .verbs = {Verb::kOpen}, .gids = {5}}});
  const Peer peer = Someone(1001, "", {5});
  EXPECT_EQ(AskedToOpen(policy, peer), "allowed by r");
  EXPECT_EQ(policy.Decide(peer, Verb::kOpen, {.device = "", .owner = &kAlicesDomain}).share,
            std::nullopt);
}

TEST(Verbs, HaveTheWordsOfTheConfiguration) {
  EXPECT_EQ(VerbText(Verb::kAllocate), "allocate");
  EXPECT_EQ(VerbText(Verb::kOpen), "open");
  EXPECT_EQ(VerbText(Verb::kShare), "share");
}

TEST(Domain, SaysWhoItIs) {
  EXPECT_EQ(kAlicesDomain.Text(), "uid 1000");
  EXPECT_EQ((Domain{.uid = 0, .container = "0123456789abcdef"}).Text(),
            "uid 0, container 0123456789ab");
}

}  // namespace
}  // namespace hlbuf
