// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/grpcpp.h>

#include <cstdio>

#include "hlbuf/v1/control.grpc.pb.h"
#include "tests/bench/die.h"
#include "tests/bench/floor.h"
#include "tests/bench/holders.h"
#include "tests/bench/product.h"
#include "tests/bench/rows.h"

namespace hlbuf::bench {
namespace {

constexpr std::size_t kProcesses = 8;
constexpr std::size_t kSessions = 1'000;
constexpr std::size_t kLeasesPerSession = 10;
// As many as one RevokeBuffers takes; each is leased by ten sessions.
constexpr std::size_t kBuffers = 1'000;

std::string IdText(std::uint64_t id) {
  std::array<char, 17> text;
  std::snprintf(text.data(), text.size(), "%llx", static_cast<unsigned long long>(id));
  return text.data();
}

// Session after session, buffer after buffer.
std::vector<std::uint64_t> Spread(const std::vector<std::uint64_t>& ids) {
  std::vector<std::uint64_t> spread;
  while (spread.size() < kSessions * kLeasesPerSession)
    spread.push_back(ids[spread.size() % ids.size()]);
  return spread;
}

// A daemon whose 1,000 sessions hold 10,000 leases, over and over again.
class Storm {
 public:
  explicit Storm(const Paths& paths)
      : daemon_(paths),
        owner_(daemon_.client_socket()),
        holders_(paths, kProductKind, daemon_.client_socket(), kProcesses, kSessions),
        control_(v1::Control::NewStub(grpc::CreateChannel("unix:" + daemon_.control_socket(),
                                                          grpc::InsecureChannelCredentials()))) {}

  // From the request to the last verdict.
  double MicrosOfOne() {
    v1::RevokeBuffersRequest request;
    for (const std::uint64_t id : Prepare()) request.add_buffer_ids(IdText(id));
    v1::RevokeBuffersResponse response;
    grpc::ClientContext context;
    const double begin = NowMicros();
    const grpc::Status status = control_->RevokeBuffers(&context, request, &response);
    const double micros = NowMicros() - begin;
    if (!status.ok()) Die("RevokeBuffers: " + status.error_message());
    Check(response.revocation());
    return micros;
  }

 private:
  // Allocates and lets every session open its part; nobody else keeps a lease.
  std::vector<std::uint64_t> Prepare() {
    std::vector<std::uint64_t> ids;
    {
      const Buffers buffers(owner_, kBuffers);
      ids = buffers.ids();
      holders_.Hold(Spread(ids));
    }
    owner_.Settle();
    return ids;
  }

  static void Check(const v1::Revocation& revocation) {
    bool all = revocation.leases_told() == kSessions * kLeasesPerSession &&
               revocation.verdicts_size() == static_cast<int>(kBuffers);
    for (const v1::BufferVerdict& each : revocation.verdicts())
      all = all && each.verdict().kind() == v1::VERDICT_KIND_ACKNOWLEDGED;
    if (!all)
      Die("a revocation told of " + std::to_string(revocation.leases_told()) + " leases and gave " +
          std::to_string(revocation.verdicts_size()) + " verdicts, not each ACKNOWLEDGED");
  }

  Daemon daemon_;
  Session owner_;
  HolderProcesses holders_;
  std::unique_ptr<v1::Control::Stub> control_;
};

// As many messages, to as many processes, and nothing in them.
class FloorStorm {
 public:
  explicit FloorStorm(const Paths& paths)
      : floor_(paths, 0),
        asker_(floor_),
        holders_(paths, kFloorKind, floor_.socket_path(), kProcesses, kSessions) {
    holders_.Hold(std::vector<std::uint64_t>(kSessions));
  }

  double MicrosOfOne() {
    const double begin = NowMicros();
    asker_.Send({.verb = FloorVerb::kNotify});
    asker_.Receive();
    return NowMicros() - begin;
  }

 private:
  Floor floor_;
  FloorSession asker_;
  HolderProcesses holders_;
};

}  // namespace

std::vector<Figure> MeasureRevoke(const Setting& setting) {
  Storm storm(setting.paths);
  FloorStorm floor(setting.paths);
  Effort effort = setting.effort;
  effort.samples = 3;
  const std::vector<Round> rounds = Interleave(
      effort, {[&](std::vector<double>& micros) { micros.push_back(storm.MicrosOfOne()); },
               [&](std::vector<double>& micros) { micros.push_back(floor.MicrosOfOne()); }});
  return {
      {.key = "revoke_10k_ratio",
       .what = "revoke 10,000 leases of 1,000 sessions, x floor",
       .value = Ratio(rounds, 0, 1),
       .target = {Target::Kind::kAtMost, 3},
       .p99 = P99Text(rounds, 0, 1)},
      {.key = "revoke_10k_p50_us", .what = "  revoke, p50 us", .value = P50(rounds, 0)},
      {.key = "revoke_10k_floor_p50_us", .what = "  floor, p50 us", .value = P50(rounds, 1)},
  };
}

}  // namespace hlbuf::bench
