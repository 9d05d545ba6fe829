// SPDX-License-Identifier: Apache-2.0
#include "tests/support/library_client.h"

#include <gtest/gtest.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace hlbuf {
namespace {

std::string AllocateStep(std::uint64_t size_bytes, const std::string& name,
                         const std::vector<std::string>& labels) {
  return absl::StrCat("library-allocate ", size_bytes, " ", name.empty() ? "-" : name,
                      labels.empty() ? "" : " ", absl::StrJoin(labels, " "));
}

}  // namespace

LibraryClient::LibraryClient(const User& user, const std::string& socket_path) : process_(user) {
  const std::string refusal = Connect(socket_path);
  EXPECT_EQ(refusal, "");
}

std::string LibraryClient::Connect(const std::string& socket_path) {
  return Refusal(process_.Do("library-connect " + socket_path));
}

std::string LibraryClient::OpenStep(std::uint64_t id) {
  return absl::StrCat("library-open-id ", id);
}

HeldBuffer LibraryClient::Held(const Reply& reply) {
  return {.place = reply.Number(0),
          .fd = reply.Int(1),
          .id = reply.Number(2),
          .lease = reply.Number(3),
          .size_bytes = reply.Number(4),
          .epoch = reply.Number(5)};
}

HeldBuffer LibraryClient::Allocate(std::uint64_t size_bytes, const std::string& name,
                                   const std::vector<std::string>& labels) {
  return Held(process_.Must(AllocateStep(size_bytes, name, labels)));
}

std::vector<std::uint64_t> LibraryClient::AllocateMany(std::size_t count,
                                                       std::uint64_t size_bytes) {
  const Reply reply = process_.Must(absl::StrCat("library-allocate-many ", count, " ", size_bytes));
  std::vector<std::uint64_t> ids;
  for (std::size_t i = 0; i < reply.words.size(); ++i) ids.push_back(reply.Number(i));
  return ids;
}

bool LibraryClient::IsCurrent(const HeldBuffer& buffer) {
  return process_.Must(absl::StrCat("library-is-current ", buffer.place)).Number() == 1;
}

UniqueFd LibraryClient::GiveAt(std::uint64_t place) {
  return process_.Give(process_.Must(absl::StrCat("library-fd ", place)).Int());
}

HeldBuffer LibraryClient::OpenNamed(const std::string& name, std::uint32_t owner_uid) {
  return Held(process_.Must(absl::StrCat("library-open-name ", name, " ", owner_uid)));
}

std::string LibraryClient::RefusalToAllocate(std::uint64_t size_bytes, const std::string& name) {
  return Refusal(process_.Do(AllocateStep(size_bytes, name, {})));
}

std::vector<std::string> LibraryClient::OpenMany(const std::vector<std::uint64_t>& ids) {
  return process_.Must(absl::StrCat("library-open-many ", absl::StrJoin(ids, " "))).words;
}

void LibraryClient::Share(std::uint64_t id, const std::string& kind, std::uint32_t grantee) {
  process_.Must(absl::StrCat("library-share ", id, " ", kind, " ", grantee));
}

void LibraryClient::Unshare(std::uint64_t id, const std::string& kind, std::uint32_t grantee) {
  process_.Must(absl::StrCat("library-unshare ", id, " ", kind, " ", grantee));
}

void LibraryClient::Release(const HeldBuffer& buffer) {
  process_.Must(absl::StrCat("library-release ", buffer.place));
}

std::string LibraryClient::AwaitNotice(const std::string& start) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (std::chrono::steady_clock::now() < deadline) {
    while (!notices_.empty()) {
      const std::string line = notices_.substr(0, notices_.find('\n'));
      notices_.erase(0, line.size() + 1);
      if (line.rfind(start, 0) == 0) return line;
    }
    const Reply reply = process_.Do("library-dispatch 1000");
    if (!reply.ok) break;
    notices_ = reply.bytes;
  }
  ADD_FAILURE() << "no notice '" << start << "' came";
  return "";
}

}  // namespace hlbuf
