// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/quota.h"

#include <cassert>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"

namespace hlbuf {

absl::string_view ResourceText(Resource resource) {
  static constexpr std::array<absl::string_view, kResourceCount> kNames = {
      "bytes", "buffers", "leases", "sessions", "in_flight_fds"};
  return kNames[static_cast<std::size_t>(resource)];
}

Charge& Charge::operator=(Charge&& other) noexcept {
  if (this == &other) return *this;
  GiveBack();
  account_ = std::exchange(other.account_, nullptr);
  amount_ = other.amount_;
  resource_ = other.resource_;
  return *this;
}

void Charge::GiveBack() {
  for (Account* a = std::exchange(account_, nullptr); a != nullptr; a = a->parent_)
    a->used_[static_cast<std::size_t>(resource_)] -= amount_;
}

Charge Charge::Split(std::uint64_t amount) {
  assert(account_ != nullptr && amount <= amount_);
  amount_ = (amount_ - amount) & kChargeMax;
  return Charge(account_, resource_, amount);
}

Account::~Account() { assert(idle()); }

absl::StatusOr<Charge> Account::Take(Resource resource, std::uint64_t amount) {
  const auto r = static_cast<std::size_t>(resource);
  for (const Account* a = this; a != nullptr; a = a->parent_)
    if (amount > kChargeMax || amount > a->limits_[r] || a->used_[r] > a->limits_[r] - amount)
      return a->Refusal(resource, amount);
  return Keep(resource, amount);
}

Charge Account::Keep(Resource resource, std::uint64_t amount) {
  for (Account* a = this; a != nullptr; a = a->parent_)
    a->used_[static_cast<std::size_t>(resource)] += amount;
  return Charge(this, resource, amount);
}

absl::Status Account::Refusal(Resource resource, std::uint64_t amount) const {
  const ErrorCode code =
      resource == Resource::kInFlight ? ErrorCode::kBusy : ErrorCode::kQuotaExceeded;
  return Error(code, absl::StrCat(name_, " has ", used(resource), " of ", limit(resource), " ",
                                  ResourceText(resource), " and asks for ", amount,
                                  " more; release some, or ask the administrator to raise [",
                                  table_, "] ", ResourceText(resource)));
}

DomainAccount& Accounts::Of(const Domain& domain) {
  std::unique_ptr<DomainAccount>& entry = domains_[domain];
  if (entry != nullptr) return *entry;
  UidAccount& uid = uids_[domain.uid];
  if (uid.account == nullptr)
    uid.account =
        std::make_unique<Account>(absl::StrCat("uid ", domain.uid, " in all its containers"),
                                  "limits.uid", limits_.uid, &service_);
  ++uid.domains;
  entry.reset(new DomainAccount{
      .domain = domain,
      .account = {domain.Text(), "limits.domain", limits_.domain, uid.account.get()}});
  return *entry;
}

const DomainAccount* Accounts::Find(const Domain& domain) const {
  const auto entry = domains_.find(domain);
  return entry == domains_.end() ? nullptr : entry->second.get();
}

void Accounts::SetLimits(const QuotaLimits& limits) {
  limits_ = limits;
  service_.set_limits(limits.service);
  for (auto& [uid, account] : uids_) account.account->set_limits(limits.uid);
  for (auto& [domain, account] : domains_) account->account.set_limits(limits.domain);
}

void Accounts::DropIfIdle(const Domain& domain) {
  const auto entry = domains_.find(domain);
  if (entry == domains_.end() || !entry->second->account.idle()) return;
  const auto uid = uids_.find(domain.uid);
  domains_.erase(entry);
  if (--uid->second.domains == 0) uids_.erase(uid);
}

}  // namespace hlbuf
