// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/keeper.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/device/error_text.h"

namespace hlbuf {
namespace {

hlbuf_keeper_message Message(hlbuf_keeper_verb verb, std::size_t items = 0) {
  return {.verb = static_cast<std::uint32_t>(verb), .items = static_cast<std::uint32_t>(items)};
}

absl::Span<const std::byte> BytesOf(const std::string& path) {
  return {reinterpret_cast<const std::byte*>(path.data()), path.size()};
}
absl::Span<const std::byte> BytesOf(absl::Span<const std::uint64_t> ids) {
  return {reinterpret_cast<const std::byte*>(ids.data()), ids.size() * sizeof(std::uint64_t)};
}

absl::Status BadPath(const std::string& path) {
  return Error(ErrorCode::kInvalidArgument,
               absl::StrCat("'", path,
                            "' is no path of a device: it has to be absolute, without "
                            "'..', of ",
                            HLBUF_KEEPER_PATH_BYTES_MAX, " bytes at most"));
}

absl::Status NotOpened(const std::string& path, int error) {
  if (error == EINVAL) return BadPath(path);
  if (error == ENOTTY)
    return Error(ErrorCode::kDeviceUnavailable,
                 absl::StrCat(path, " is no character device: check the device's path"));
  return CannotOpen(path, error, "the driver is not loaded, or its device has another name");
}

}  // namespace

std::string DefaultKeeperPath() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / "hl-bufd-keeper";
}

Keeper::Keeper(KeeperProcess process, UniqueFd connection, KeeperLimits limits)
    : limits_(limits), process_(std::move(process)), connection_(std::move(connection)) {}

Keeper::~Keeper() {
  if (connection_.fd() >= 0) End();
}

std::optional<std::string> Keeper::End() {
  connection_.Close();
  return process_.End(limits_.end, limits_.killed);
}

bool Keeper::HasHungUp() const {
  return (Await(connection_.fd(), 0, Deadline(absl::ZeroDuration())) & POLLHUP) != 0;
}

absl::StatusOr<std::unique_ptr<Keeper>> Keeper::Spawn(const std::string& program,
                                                      KeeperLimits limits) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return CallFailed("socketpair()", errno);
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  ASSIGN_OR_RETURN(KeeperProcess process, KeeperProcess::Start(program, theirs.get()));
  theirs.Reset();
  std::unique_ptr<Keeper> keeper(new Keeper(std::move(process), std::move(ours), limits));
  const absl::StatusOr<KeeperAnswer> answer =
      keeper->Ask(Message(HLBUF_KEEPER_COUNT), {}, HLBUF_KEEPER_COUNTED, limits.start);
  if (!answer.ok())
    return absl::Status(answer.status().code(),
                        absl::StrCat(program, ": ", answer.status().message()));
  return keeper;
}

absl::StatusOr<UniqueFd> Keeper::Open(const std::string& path) {
  if (path.size() > HLBUF_KEEPER_PATH_BYTES_MAX) return BadPath(path);
  ASSIGN_OR_RETURN(KeeperAnswer answer, Ask(Message(HLBUF_KEEPER_OPEN, path.size()), BytesOf(path),
                                            HLBUF_KEEPER_OPENED, limits_.open));
  if (answer.message.error != 0) return NotOpened(path, answer.message.error);
  if (!answer.fd) return absl::DataLossError("the keeper sent no descriptor");
  return std::move(answer.fd);
}

absl::Status Keeper::Keep(std::uint64_t id, int fd) {
  if (fd < 0) return Error(ErrorCode::kInvalidArgument, "there is no descriptor to keep");
  if (room_ == 0)
    return Error(ErrorCode::kQuotaExceeded,
                 "the keeper has no free descriptor: raise its LimitNOFILE=");
  hlbuf_keeper_message message = Message(HLBUF_KEEPER_KEEP);
  message.id = id;
  const Deadline deadline(limits_.keep);
  absl::Status told = connection_.Tell(message, fd, deadline);
  // Too many unread descriptors of this user: perhaps the keeper's own, until it has read them.
  if (absl::IsResourceExhausted(told)) {
    RETURN_IF_ERROR(Count().status());
    told = connection_.Tell(message, fd, deadline);
  }
  if (!told.ok()) return WithFate(std::move(told));
  --room_;
  return told;
}

absl::Status Keeper::Drop(absl::Span<const std::uint64_t> ids) {
  while (!ids.empty()) {
    const auto some = ids.subspan(0, HLBUF_KEEPER_IDS_MAX);
    RETURN_IF_ERROR(Ask(Message(HLBUF_KEEPER_DROP, some.size()), BytesOf(some),
                        HLBUF_KEEPER_DROPPED, limits_.drop)
                        .status());
    ids.remove_prefix(some.size());
  }
  return absl::OkStatus();
}

absl::Status Keeper::DropAll() {
  return Ask(Message(HLBUF_KEEPER_DROP_ALL), {}, HLBUF_KEEPER_DROPPED, limits_.drop).status();
}

absl::StatusOr<KeeperCount> Keeper::Count() {
  ASSIGN_OR_RETURN(const KeeperAnswer answer,
                   Ask(Message(HLBUF_KEEPER_COUNT), {}, HLBUF_KEEPER_COUNTED, limits_.keep));
  return KeeperCount{.kept = answer.message.kept, .room = answer.message.room};
}

absl::StatusOr<KeeperAnswer> Keeper::Ask(hlbuf_keeper_message message,
                                         absl::Span<const std::byte> following,
                                         hlbuf_keeper_verb answer, absl::Duration limit) {
  absl::StatusOr<KeeperAnswer> got = connection_.Ask(message, following, answer, Deadline(limit));
  if (!got.ok()) return WithFate(got.status());
  room_ = got->message.room;
  return got;
}

absl::Status Keeper::WithFate(absl::Status status) const {
  if (!absl::IsUnavailable(status)) return status;
  return Error(ErrorCode::kDeviceUnavailable,
               absl::StrCat(status.message(), "; process ", pid(), " ", process_.Fate()));
}

}  // namespace hlbuf
