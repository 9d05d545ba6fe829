// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace hlbuf {
namespace {

using Given = GivenLimits::Given;

constexpr std::uint64_t kDescriptorsPerSession = 2;
constexpr std::uint64_t kDescriptorsPerControlConnection = 2;
constexpr std::uint64_t kNofileMax = std::uint64_t{1} << 30;  // what a kernel can have
constexpr std::uint64_t kNofileOfOneDevice = 40;
constexpr std::uint64_t kOwnMin = 24, kOwnMax = 256;  // one device included
constexpr std::uint64_t kDescriptorsPerDevice = 3;    // node, arena, what is read of its buffers
constexpr std::uint64_t kControlMin = 4, kControlMax = 64;
constexpr std::uint64_t kLeasesPerBuffer = 8;  // a lease costs memory alone

constexpr std::size_t Index(Resource resource) { return static_cast<std::size_t>(resource); }

std::uint64_t FurtherDevices(std::uint64_t devices) {
  return kDescriptorsPerDevice * (std::max<std::uint64_t>(devices, 1) - 1);
}

std::uint64_t DescriptorsForPeers(const Caps& caps) {
  return caps.nofile - caps.own_descriptors -
         kDescriptorsPerControlConnection * caps.control_connections;
}

// One session for about ten buffers; where descriptors are few, sessions come first.
std::uint64_t DefaultSessions(std::uint64_t descriptors) {
  return std::max(descriptors / 12, std::min<std::uint64_t>(descriptors / 4, 64));
}

std::uint64_t Rest(std::uint64_t all, std::uint64_t taken) {
  return all > taken ? std::max<std::uint64_t>(all - taken, 1) : 1;
}

// `parts` of `of`; at least 1.
std::uint64_t Share(std::uint64_t whole, std::uint64_t parts, std::uint64_t of) {
  if (whole == kUnlimited) return kUnlimited;
  return std::max<std::uint64_t>(whole / of * parts + whole % of * parts / of, 1);
}

Amounts ServiceLimits(const Caps& caps, const Means& means, const GivenLimits& given) {
  using enum Resource;
  const auto or_default = [&given](Resource resource, std::uint64_t otherwise) {
    return given.service[Index(resource)].value_or(otherwise);
  };
  const std::uint64_t descriptors = DescriptorsForPeers(caps);
  const std::uint64_t for_sessions = Rest(descriptors, or_default(kBuffers, 0));
  const std::uint64_t sessions =
      or_default(kSessions, std::clamp<std::uint64_t>(for_sessions / kDescriptorsPerSession, 1,
                                                      DefaultSessions(descriptors)));
  const std::uint64_t buffers =
      or_default(kBuffers, Rest(descriptors, kDescriptorsPerSession * sessions));
  // A part that was set raises the whole, where the whole was not.
  const auto raised = [&](Resource resource, std::uint64_t otherwise) {
    return or_default(resource, std::max({otherwise, given.uid[Index(resource)].value_or(0),
                                          given.domain[Index(resource)].value_or(0)}));
  };
  Amounts limits = {};
  // More than the devices have is out of reach, whoever may take it.
  limits[Index(kBytes)] = means.bytes_known ? or_default(kBytes, means.device_bytes)
                                            : raised(kBytes, means.device_bytes);
  limits[Index(kBuffers)] = buffers;
  limits[Index(kLeases)] = raised(kLeases, kLeasesPerBuffer * buffers);
  limits[Index(kSessions)] = sessions;
  limits[Index(kInFlight)] = or_default(kInFlight, caps.nofile / 2 - 1);
  return limits;
}

void FindOverdrawn(const Caps& caps, const GivenLimits& given, std::vector<LimitFault>& faults) {
  const std::uint64_t buffers = caps.limits.service[Index(Resource::kBuffers)];
  const std::uint64_t sessions = caps.limits.service[Index(Resource::kSessions)];
  const std::uint64_t needed = buffers + kDescriptorsPerSession * sessions;
  if (needed > DescriptorsForPeers(caps)) {
    const bool by_buffers = given.service[Index(Resource::kBuffers)].has_value();
    faults.push_back(
        {.resource = by_buffers ? Resource::kBuffers : Resource::kSessions,
         .text = absl::StrCat("buffers = ", buffers, " and sessions = ", sessions, " take ", needed,
                              " file descriptors, but of the limit of ", caps.nofile, " only ",
                              DescriptorsForPeers(caps), " are for clients; lower them, or raise ",
                              "LimitNOFILE= to ",
                              needed + std::max(kOwnMax, caps.own_descriptors) +
                                  kDescriptorsPerControlConnection * kControlMax)});
  }
  const std::uint64_t in_flight = caps.limits.service[Index(Resource::kInFlight)];
  if (in_flight >= caps.nofile / 2)
    faults.push_back({.resource = Resource::kInFlight,
                      .text = absl::StrCat("the limit of ", caps.nofile,
                                           " file descriptors allows at most ", caps.nofile / 2 - 1,
                                           " in flight; lower it, or raise LimitNOFILE= to ",
                                           2 * (in_flight + 1))});
}

// As hl-bufctl shows sizes: rounded, with the largest unit.
std::string Text(std::uint64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes == kUnlimited) return "any number of bytes";
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1023.95 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return absl::StrFormat("%.*f%s", value == std::floor(value) ? 0 : 1, value, kUnits[unit]);
}

std::string AmountText(std::size_t resource, std::uint64_t amount) {
  return resource == Index(Resource::kBytes) ? Text(amount) : absl::StrCat(amount);
}

// A part that is set above the whole would never be reached.
void FindAbove(const Given& given, LimitFault::Scope scope, const Amounts& whole,
               absl::string_view whole_name, std::vector<LimitFault>& faults) {
  for (std::size_t r = 0; r < kResourceCount; ++r)
    if (given[r].value_or(0) > whole[r])
      faults.push_back(
          {.scope = scope,
           .resource = static_cast<Resource>(r),
           .text = absl::StrCat(AmountText(r, *given[r]), " is above the ", AmountText(r, whole[r]),
                                " of ", whole_name, "; lower it, or raise that limit")});
}

std::string OfOne(const Amounts& limits) {
  return absl::StrCat(
      Text(limits[Index(Resource::kBytes)]), ", ", limits[Index(Resource::kBuffers)], " buffers, ",
      limits[Index(Resource::kSessions)], " sessions, ", limits[Index(Resource::kLeases)],
      " leases, ", limits[Index(Resource::kInFlight)], " descriptors in flight");
}

}  // namespace

std::uint64_t NofileMin(std::uint64_t devices) {
  return kNofileOfOneDevice + FurtherDevices(devices);
}

Caps DeriveCaps(const Means& means, const GivenLimits& given) {
  Caps caps;
  caps.nofile = std::clamp(means.nofile, NofileMin(means.devices), kNofileMax);
  caps.own_descriptors =
      std::clamp(caps.nofile / 8, kOwnMin, kOwnMax) + FurtherDevices(means.devices);
  caps.control_connections = std::clamp(caps.nofile / 128, kControlMin, kControlMax);
  QuotaLimits& limits = caps.limits;
  limits.service = ServiceLimits(caps, means, given);
  for (std::size_t r = 0; r < kResourceCount; ++r) {
    const std::uint64_t whole = limits.service[r];
    const std::uint64_t of_uid =
        std::min(whole, std::max(Share(whole, 3, 4), given.domain[r].value_or(0)));
    limits.uid[r] = given.uid[r].value_or(of_uid);
    limits.domain[r] = given.domain[r].value_or(std::min(limits.uid[r], Share(whole, 1, 2)));
  }
  return caps;
}

std::vector<LimitFault> FindFaults(const Caps& caps, const GivenLimits& given) {
  std::vector<LimitFault> faults;
  FindOverdrawn(caps, given, faults);
  FindAbove(given.uid, LimitFault::Scope::kUid, caps.limits.service, "the whole service", faults);
  FindAbove(given.domain, LimitFault::Scope::kDomain, caps.limits.uid, "one uid", faults);
  return faults;
}

std::string Describe(const Caps& caps, absl::string_view separator) {
  return absl::StrCat("with ", caps.nofile,
                      " file descriptors (LimitNOFILE=): ", OfOne(caps.limits.service), ", ",
                      caps.control_connections, " control connections", separator,
                      "for one uid: ", OfOne(caps.limits.uid), separator,
                      "for one domain: ", OfOne(caps.limits.domain));
}

}  // namespace hlbuf
