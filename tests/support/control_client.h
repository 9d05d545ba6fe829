// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_CONTROL_CLIENT_H_
#define HLBUF_TESTS_SUPPORT_CONTROL_CLIENT_H_

#include <sys/types.h>

#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hlbuf {

// What the control API says, as plain values. `error` is empty, or the reason and the words of the
// refusal; nothing else is set then.
struct OutsideSeen {
  pid_t pid = 0;
  std::uint32_t descriptors = 0;
  std::uint32_t mappings = 0;
  bool has_lease = false;
};
struct BufferVerdictSeen {
  std::uint64_t buffer = 0;
  std::string verdict;  // "PROVEN", "ACKNOWLEDGED", "HELD"
  std::uint32_t references = 0;
  std::vector<pid_t> holders;
  std::vector<std::string> signalled;  // each of them: "TERMINATE", "KILL", or "UNSPECIFIED"
  bool outside_known = false;
  std::vector<OutsideSeen> outside;

  // nullptr: root did not see it.
  const OutsideSeen* Outside(pid_t pid) const;
};
struct RevocationSeen {
  std::string error;
  std::uint32_t sessions_told = 0;
  std::uint32_t leases_told = 0;
  std::vector<BufferVerdictSeen> verdicts;
  // Of a drilled reset.
  std::string device_state;
  std::uint64_t epoch = 0;

  // Of the one buffer that there is.
  const BufferVerdictSeen& only() const;
};
struct BufferSeen {
  std::uint64_t id = 0;
  std::string name;
  std::string labels;  // "key=value", sorted, a blank between
  std::string state;   // "LIVE", ...
  uid_t owner_uid = 0;
  std::uint32_t lease_count = 0;
  std::uint32_t references = 0;
};
struct EventSeen {
  std::uint64_t sequence = 0;
  std::string kind;  // "DEVICE_STATE", ...
  std::int64_t time_ms = 0;
  std::string device;
  std::uint64_t buffer = 0;
  uid_t uid = 0;
  std::string text;
  std::string verdict;  // of BUFFER_VERDICT, as in BufferVerdictSeen
};
struct DeviceSeen {
  std::string state;  // "READY", ...
  std::uint64_t epoch = 0;
  std::string failure;
};
struct SessionSeen {
  std::uint64_t id = 0;
  uid_t uid = 0;
  pid_t pid = 0;
  std::string client;  // what it calls itself
  std::string state;
  std::uint32_t lease_count = 0;
  std::uint32_t in_flight_fds = 0;
};

struct LeaseSeen {
  std::uint64_t id = 0;
  std::string state;  // "ACTIVE", ...
};

// A caller of the control API, with the identity of this process. Calls wait, with deadlines.
class ControlClient {
 public:
  explicit ControlClient(const std::string& socket_path);
  ~ControlClient();

  RevocationSeen Revoke(std::uint64_t buffer, int grace_ms);
  RevocationSeen SimulateReset(const std::string& device, int grace_ms);
  // The same while the test goes on.
  std::future<RevocationSeen> StartToRevoke(std::uint64_t buffer, int grace_ms);
  std::future<RevocationSeen> StartToReset(const std::string& device, int grace_ms);

  std::vector<BufferSeen> Buffers();
  // The ids of all leases.
  std::vector<std::uint64_t> Leases();
  std::vector<LeaseSeen> LeasesAndStates();
  // Those of one user alone.
  std::vector<SessionSeen> SessionsOf(uid_t uid);
  // nullopt: there is none, or none any more.
  std::optional<BufferSeen> Find(std::uint64_t buffer);
  DeviceSeen Device(const std::string& name);
  std::uint64_t EpochOf(const std::string& device) { return Device(device).epoch; }
  // What happened since event `from`, the first of which is 1.
  std::vector<EventSeen> Events(std::uint64_t from = 1);
  // The number of the next event.
  std::uint64_t NextEvent();

 private:
  struct Stub;
  std::unique_ptr<Stub> stub_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_CONTROL_CLIENT_H_
