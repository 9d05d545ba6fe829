// SPDX-License-Identifier: Apache-2.0
// Who has taken how much of what. Every resource that a peer can take is counted here, and given
// back by a destructor.
#ifndef HLBUF_DAEMON_CORE_QUOTA_H_
#define HLBUF_DAEMON_CORE_QUOTA_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/core/peer.h"

namespace hlbuf {

enum class Resource : std::uint8_t { kBytes, kBuffers, kLeases, kSessions, kInFlight };
inline constexpr std::size_t kResourceCount = 5;
// "bytes", "buffers", ...: the key in the configuration and the word in messages.
absl::string_view ResourceText(Resource resource);

// What a single charge can hold; more is refused whatever the limits are.
inline constexpr std::uint64_t kChargeMax = (std::uint64_t{1} << 56) - 1;

using Amounts = std::array<std::uint64_t, kResourceCount>;
inline constexpr std::uint64_t kUnlimited = UINT64_MAX;

class Account;

// A part of an account, given back when destroyed. Cannot be copied, cannot be forgotten.
class [[nodiscard]] Charge {
 public:
  Charge() = default;
  Charge(Charge&& other) noexcept
      : account_(std::exchange(other.account_, nullptr)),
        amount_(other.amount_),
        resource_(other.resource_) {}
  Charge& operator=(Charge&& other) noexcept;
  ~Charge() { GiveBack(); }

  void GiveBack();
  // Takes a part of this charge into one of its own. `amount` is at most amount().
  Charge Split(std::uint64_t amount);
  std::uint64_t amount() const { return account_ == nullptr ? 0 : amount_; }

 private:
  friend class Account;
  Charge(Account* account, Resource resource, std::uint64_t amount)
      : account_(account), amount_(amount & kChargeMax), resource_(resource) {}

  // Every buffer has two charges, every lease one: they are small.
  Account* account_ = nullptr;
  std::uint64_t amount_ : 56 = 0;
  Resource resource_ : 8 = Resource::kBytes;
};
static_assert(sizeof(Charge) == 16);

// One holder of limits: a domain, its uid, the whole service. What a domain takes, its uid and the
// service take too.
class Account {
 public:
  // `table` is where its limits are in the configuration, a literal: "limits.domain".
  Account(std::string name, absl::string_view table, const Amounts& limits, Account* parent)
      : name_(std::move(name)), table_(table), limits_(limits), parent_(parent) {}
  ~Account();
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  // All or nothing up the chain. QUOTA_EXCEEDED names the account, the resource, its limit, its use
  // and the key of the limit: a uid's own and that of one of its domains read alike.
  absl::StatusOr<Charge> Take(Resource resource, std::uint64_t amount);

  // What is in use stays, also above them.
  void set_limits(const Amounts& limits) { limits_ = limits; }
  // For what is held already, whatever the limits are now: they may have shrunk over a restart.
  Charge Keep(Resource resource, std::uint64_t amount);

  std::uint64_t used(Resource r) const { return used_[static_cast<std::size_t>(r)]; }
  std::uint64_t limit(Resource r) const { return limits_[static_cast<std::size_t>(r)]; }
  const std::string& name() const { return name_; }
  // Nothing is charged to it, and nobody wants it to stay.
  bool idle() const { return used_ == Amounts{} && holds_ == 0; }

 private:
  friend class Charge;
  friend class AccountHold;
  absl::Status Refusal(Resource resource, std::uint64_t amount) const;

  std::string name_;
  absl::string_view table_;
  Amounts limits_;
  Amounts used_ = {};
  std::uint64_t holds_ = 0;
  Account* parent_;  // outlives this
};

// Lets an account stay though nothing may be charged to it, for who refers to it.
class AccountHold {
 public:
  AccountHold() = default;
  explicit AccountHold(Account& account) : account_(&account) { ++account.holds_; }
  AccountHold(AccountHold&& other) noexcept : account_(std::exchange(other.account_, nullptr)) {}
  AccountHold& operator=(AccountHold&& other) noexcept {
    std::swap(account_, other.account_);
    return *this;
  }
  ~AccountHold() {
    if (account_ != nullptr) --account_->holds_;
  }

 private:
  Account* account_ = nullptr;
};

// A domain and its account, shared by all that the domain owns. Compare addresses: there is one per
// domain.
struct DomainAccount {
  Domain domain;
  Account account;
};

struct QuotaLimits {
  Amounts service;  // all together
  Amounts uid;      // one uid, all its containers together
  Amounts domain;   // one uid in one container
};

// Every account there is. An entry stays as long as anything is charged to it.
class Accounts {
 public:
  explicit Accounts(const QuotaLimits& limits)
      : limits_(limits), service_("the service", "limits.service", limits.service, nullptr) {}

  DomainAccount& Of(const Domain& domain);
  const DomainAccount* Find(const Domain& domain) const;
  // Forgets the account if nothing is charged to it any more.
  void DropIfIdle(const Domain& domain);

  // Of every account, those that there are included.
  void SetLimits(const QuotaLimits& limits);

  const Account& service() const { return service_; }
  std::size_t size() const { return domains_.size(); }

 private:
  struct UidAccount {
    std::unique_ptr<Account> account;
    std::size_t domains = 0;
  };

  QuotaLimits limits_;
  Account service_;
  absl::flat_hash_map<uid_t, UidAccount> uids_;
  absl::flat_hash_map<Domain, std::unique_ptr<DomainAccount>> domains_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_QUOTA_H_
