// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/quota.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "daemon/core/error.h"

namespace hlbuf {
namespace {

const Domain kAlice = {.uid = 1000, .container = ""};
const Domain kPodOfAlice = {.uid = 1000, .container = "pod"};
const Domain kBob = {.uid = 1001, .container = ""};

Amounts AllOf(std::uint64_t limit) {
  Amounts amounts;
  amounts.fill(limit);
  return amounts;
}
QuotaLimits Limits(std::uint64_t service, std::uint64_t uid, std::uint64_t domain) {
  return {.service = AllOf(service), .uid = AllOf(uid), .domain = AllOf(domain)};
}

absl::StatusOr<Charge> Take(Accounts& accounts, const Domain& domain, std::uint64_t amount) {
  return accounts.Of(domain).account.Take(Resource::kBytes, amount);
}

TEST(Charge, GoesBackWhenItIsDestroyed) {
  Accounts accounts(Limits(10, 10, 10));
  {
    const Charge charge = *Take(accounts, kAlice, 7);
    EXPECT_EQ(charge.amount(), 7u);
    EXPECT_EQ(accounts.Of(kAlice).account.used(Resource::kBytes), 7u);
    EXPECT_EQ(accounts.service().used(Resource::kBytes), 7u);
  }
  EXPECT_TRUE(accounts.Of(kAlice).account.idle());
  EXPECT_TRUE(accounts.service().idle());
}

TEST(Charge, GoesBackOnceHoweverOftenItIsMoved) {
  Accounts accounts(Limits(10, 10, 10));
  Charge first = *Take(accounts, kAlice, 3);
  Charge second = std::move(first);
  first = *Take(accounts, kAlice, 4);
  first = std::move(second);
  EXPECT_EQ(accounts.service().used(Resource::kBytes), 3u);
  EXPECT_EQ(second.amount(), 0u);
  first.GiveBack();
  first.GiveBack();
  EXPECT_EQ(accounts.service().used(Resource::kBytes), 0u);
}

TEST(Charge, SurvivesBeingAssignedToItself) {
  Accounts accounts(Limits(10, 10, 10));
  Charge charge = *Take(accounts, kAlice, 3);
  Charge& same = charge;
  charge = std::move(same);
  EXPECT_EQ(charge.amount(), 3u);
}

TEST(Charge, CanBeDivided) {
  Accounts accounts(Limits(10, 10, 10));
  Charge whole = *Take(accounts, kAlice, 5);
  {
    const Charge part = whole.Split(2);
    EXPECT_EQ(part.amount(), 2u);
    EXPECT_EQ(whole.amount(), 3u);
  }
  EXPECT_EQ(accounts.service().used(Resource::kBytes), 3u);
}

TEST(Account, GivesExactlyItsLimit) {
  Accounts accounts(Limits(kUnlimited, kUnlimited, 10));
  const Charge most = *Take(accounts, kAlice, 9);
  EXPECT_FALSE(Take(accounts, kAlice, 2).ok());
  const Charge last = *Take(accounts, kAlice, 1);
  EXPECT_FALSE(Take(accounts, kAlice, 1).ok());
  EXPECT_TRUE(Take(accounts, kAlice, 0).ok());
}

TEST(Account, IsNotFooledByAmountsThatOverflow) {
  Accounts accounts(Limits(kUnlimited, kUnlimited, kUnlimited));
  const Charge some = *Take(accounts, kAlice, 2);
  EXPECT_FALSE(Take(accounts, kAlice, UINT64_MAX).ok());
  EXPECT_FALSE(Take(accounts, kAlice, UINT64_MAX - 1).ok());
  EXPECT_FALSE(Take(accounts, kAlice, kChargeMax + 1).ok());
  const Charge most = *Take(accounts, kAlice, kChargeMax);
  EXPECT_EQ(most.amount(), kChargeMax);
  EXPECT_EQ(accounts.service().used(Resource::kBytes), kChargeMax + 2);
}

TEST(Account, TakesNothingWhenItsParentRefuses) {
  Accounts accounts(Limits(10, 5, 10));
  EXPECT_FALSE(Take(accounts, kAlice, 6).ok());
  EXPECT_TRUE(accounts.Of(kAlice).account.idle());
  EXPECT_TRUE(accounts.service().idle());
}

TEST(Account, CountsEachResourceForItself) {
  Accounts accounts(Limits(10, 10, 10));
  Account& alice = accounts.Of(kAlice).account;
  const Charge bytes = *alice.Take(Resource::kBytes, 10);
  const Charge leases = *alice.Take(Resource::kLeases, 10);
  EXPECT_EQ(alice.used(Resource::kBuffers), 0u);
  EXPECT_FALSE(alice.idle());
}

TEST(Account, RefusesWithWhoWhatAndHowMuch) {
  Accounts accounts(Limits(kUnlimited, kUnlimited, 10));
  const Charge charge = *Take(accounts, kAlice, 8);
  const absl::Status refused = Take(accounts, kAlice, 3).status();
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kQuotaExceeded);
  EXPECT_EQ(refused.message(),
            "uid 1000 has 8 of 10 bytes and asks for 3 more; release some, or ask the "
            "administrator to raise [limits.domain] bytes");
}

TEST(Account, NamesTheKeyOfTheLimitThatRefused) {
  const auto key = [](const QuotaLimits& limits) {
    Accounts accounts(limits);
    const std::string text(Take(accounts, kAlice, 2).status().message());
    return text.substr(text.find('['));
  };
  EXPECT_EQ(key(Limits(9, 9, 1)), "[limits.domain] bytes");
  EXPECT_EQ(key(Limits(9, 1, 9)), "[limits.uid] bytes");
  EXPECT_EQ(key(Limits(1, 9, 9)), "[limits.service] bytes");
}

TEST(Account, SaysBusyOfDescriptorsInFlightBecauseTheyPass) {
  Accounts accounts(Limits(1, 1, 1));
  EXPECT_EQ(ErrorCodeOf(accounts.Of(kAlice).account.Take(Resource::kInFlight, 2).status()),
            ErrorCode::kBusy);
}

TEST(AccountDeathTest, DoesNotEndWhileSomethingIsChargedToIt) {
  EXPECT_DEBUG_DEATH(
      {
        auto account = std::make_unique<Account>("test", "limits.domain", AllOf(1), nullptr);
        Charge charge = *account->Take(Resource::kBytes, 1);
        account.reset();
        charge = Charge();
      },
      "idle");
}

TEST(Accounts, LimitAUidOverAllItsContainers) {
  Accounts accounts(Limits(100, 10, 8));
  const Charge outside = *Take(accounts, kAlice, 6);
  const Charge inside = *Take(accounts, kPodOfAlice, 4);
  const absl::Status refused = Take(accounts, kPodOfAlice, 1).status();
  EXPECT_EQ(refused.message().substr(0, 44), "uid 1000 in all its containers has 10 of 10 ");
  EXPECT_TRUE(Take(accounts, kBob, 8).ok());
}

TEST(Accounts, LimitTheServiceOverAllUids) {
  Accounts accounts(Limits(10, 8, 8));
  const Charge alice = *Take(accounts, kAlice, 8);
  EXPECT_FALSE(Take(accounts, kBob, 3).ok());
  EXPECT_TRUE(Take(accounts, kBob, 2).ok());
}

TEST(Accounts, KnowADomainByOneAddress) {
  Accounts accounts(Limits(1, 1, 1));
  DomainAccount& alice = accounts.Of(kAlice);
  for (uid_t uid = 0; uid < 1000; ++uid) accounts.Of({.uid = uid, .container = ""});
  EXPECT_EQ(&accounts.Of(kAlice), &alice);
  EXPECT_EQ(accounts.Find(kAlice), &alice);
  EXPECT_EQ(accounts.Find(kPodOfAlice), nullptr);
}

TEST(Accounts, ForgetADomainOnlyWhenItIsIdle) {
  Accounts accounts(Limits(10, 10, 10));
  Charge charge = *Take(accounts, kAlice, 1);
  accounts.DropIfIdle(kAlice);
  EXPECT_EQ(accounts.size(), 1u);
  charge.GiveBack();
  accounts.DropIfIdle(kAlice);
  accounts.DropIfIdle(kAlice);
  EXPECT_EQ(accounts.size(), 0u);
}

TEST(Accounts, StayForWhoeverHoldsThem) {
  Accounts accounts(Limits(10, 10, 10));
  {
    AccountHold moved;
    {
      AccountHold hold(accounts.Of(kAlice).account);
      moved = std::move(hold);
    }
    accounts.DropIfIdle(kAlice);
    EXPECT_EQ(accounts.size(), 1u);
  }
  accounts.DropIfIdle(kAlice);
  EXPECT_EQ(accounts.size(), 0u);
}

TEST(Accounts, KeepAUidAsLongAsOneOfItsContainersIsThere) {
  Accounts accounts(Limits(10, 10, 10));
  const Charge inside = *Take(accounts, kPodOfAlice, 9);
  accounts.Of(kAlice);
  accounts.DropIfIdle(kAlice);
  EXPECT_FALSE(Take(accounts, kAlice, 2).ok());
}

// Any history of taking, dividing and giving back, against sums over what is held.
RC_GTEST_PROP(Accounts, AlwaysShowTheSumOfTheChargesAndZeroInTheEnd, ()) {
  const std::vector<Domain> domains = {kAlice, kPodOfAlice, kBob};
  Accounts accounts(Limits(40, 25, 15));
  struct Held {
    std::size_t domain;
    Charge charge;
  };
  std::vector<Held> held;
  const auto sum_of = [&](auto belongs) {
    std::uint64_t sum = 0;
    for (const Held& each : held)
      if (belongs(domains[each.domain])) sum += each.charge.amount();
    return sum;
  };
  const int steps = *rc::gen::inRange(0, 60);
  for (int step = 0; step < steps; ++step) {
    const std::size_t who = *rc::gen::inRange<std::size_t>(0, domains.size());
    const std::uint64_t amount = *rc::gen::inRange<std::uint64_t>(0, 12);
    const std::size_t which = held.empty() ? 0 : *rc::gen::inRange<std::size_t>(0, held.size());
    switch (*rc::gen::inRange(0, 4)) {
      case 0:
      case 1: {
        const Domain& domain = domains[who];
        const auto own = sum_of([&](const Domain& d) { return d == domain; });
        const auto uids = sum_of([&](const Domain& d) { return d.uid == domain.uid; });
        const auto all = sum_of([](const Domain&) { return true; });
        const bool fits = own + amount <= 15 && uids + amount <= 25 && all + amount <= 40;
        absl::StatusOr<Charge> charge = Take(accounts, domain, amount);
        RC_ASSERT(charge.ok() == fits);
        if (charge.ok()) held.push_back({who, *std::move(charge)});
        break;
      }
      case 2:
        if (!held.empty()) held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
        break;
      default:
        if (!held.empty() && held[which].charge.amount() >= amount) {
          Charge part = held[which].charge.Split(amount);
          held.push_back({held[which].domain, std::move(part)});
        }
    }
    for (const Domain& domain : domains)
      RC_ASSERT(accounts.Of(domain).account.used(Resource::kBytes) ==
                sum_of([&](const Domain& d) { return d == domain; }));
    RC_ASSERT(accounts.service().used(Resource::kBytes) ==
              sum_of([](const Domain&) { return true; }));
  }
  held.clear();
  RC_ASSERT(accounts.service().idle());
  for (const Domain& domain : domains) accounts.DropIfIdle(domain);
  RC_ASSERT(accounts.size() == 0u);
}

}  // namespace
}  // namespace hlbuf
