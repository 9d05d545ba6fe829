// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_LIBRARY_CLIENT_H_
#define HLBUF_TESTS_SUPPORT_LIBRARY_CLIENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/client_process.h"

namespace hlbuf {

// A buffer that the process of a LibraryClient has a lease of.
struct HeldBuffer {
  std::uint64_t place = 0;  // what the process calls it
  int fd = -1;              // there
  std::uint64_t id = 0;
  std::uint64_t lease = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t epoch = 0;
};

// A process with a session through libhlbuf. What is refused fails the test, except where a
// function says that it returns the refusal: "CODE and the reason in words", empty if there is
// none.
class LibraryClient {
 public:
  LibraryClient(const User& user, const std::string& socket_path);

  ClientProcess& process() { return process_; }
  std::string Connect(const std::string& socket_path);  // returns the refusal

  // What it allocates from now on is on this one.
  void UseDevice(const std::string& name) { process_.Must("library-use-device " + name); }
  HeldBuffer Allocate(std::uint64_t size_bytes, const std::string& name = "",
                      const std::vector<std::string>& labels = {});
  // So many of one size; their ids. As many as a packet has room for.
  std::vector<std::uint64_t> AllocateMany(std::size_t count, std::uint64_t size_bytes);
  HeldBuffer Open(std::uint64_t id) { return Held(process_.Must(OpenStep(id))); }
  HeldBuffer OpenNamed(const std::string& name, std::uint32_t owner_uid);
  std::string RefusalToAllocate(std::uint64_t size_bytes, const std::string& name = "");
  std::string RefusalToOpen(std::uint64_t id) { return Refusal(process_.Do(OpenStep(id))); }
  // For each item its place, or the name of the code with which it was refused.
  std::vector<std::string> OpenMany(const std::vector<std::uint64_t>& ids);

  void Share(std::uint64_t id, const std::string& kind, std::uint32_t grantee);
  void Unshare(std::uint64_t id, const std::string& kind, std::uint32_t grantee);
  void Release(const HeldBuffer& buffer);
  // Without reading anything.
  bool IsCurrent(const HeldBuffer& buffer);
  void ReleaseAll() { process_.Must("library-release-all"); }
  // A copy of the descriptor of the buffer at `place`, as OpenMany() and allocations count them.
  UniqueFd GiveAt(std::uint64_t place);

  // Notices are delivered by Dispatch() only; a revocation is acknowledged when it is delivered,
  // unless the client keeps what it holds.
  void KeepWhatIsRevoked() { process_.Must("library-on-revoke keep"); }
  // Dispatches until a line of a notice begins with `start`; that line, empty when it did not come.
  std::string AwaitNotice(const std::string& start);

  std::string Read(const HeldBuffer& buffer, std::uint64_t size_bytes) {
    return process_.Read(buffer.fd, size_bytes);
  }
  void Write(const HeldBuffer& buffer, const std::string& bytes) {
    process_.Write(buffer.fd, bytes);
  }

 private:
  static std::string OpenStep(std::uint64_t id);
  static HeldBuffer Held(const Reply& reply);
  static std::string Refusal(const Reply& reply) { return reply.ok ? "" : reply.Text(); }

  ClientProcess process_;
  std::string notices_;  // lines that came and were not awaited yet
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_LIBRARY_CLIENT_H_
