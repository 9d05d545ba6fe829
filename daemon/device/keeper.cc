// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/keeper.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/crash_point.h"
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

Keeper::Keeper(std::optional<KeeperProcess> process, UniqueFd connection, KeeperLimits limits)
    : limits_(limits), process_(std::move(process)), connection_(std::move(connection)) {}

Keeper::~Keeper() {
  if (connection_.fd() >= 0) End();
}

// It may wait for another process of this service otherwise, as long as it keeps anything.
std::optional<std::string> Keeper::End() {
  if (!process_.has_value()) {
    const absl::Status dropped = DropAll();
    connection_.Close();
    if (!dropped.ok() && !absl::IsUnavailable(dropped)) return std::nullopt;
    return "has ended";
  }
  (void)connection_.Tell(Message(HLBUF_KEEPER_DROP_ALL), {}, -1, Deadline(absl::ZeroDuration()));
  connection_.Close();
  return process_->End(limits_.end, limits_.killed);
}

void Keeper::Leave() { connection_.Close(); }

std::string Keeper::Who() const {
  return process_ ? absl::StrCat("process ", pid()) : "a process that this one did not begin";
}

bool Keeper::HasHungUp() const {
  return (Await(connection_.fd(), 0, Deadline(absl::ZeroDuration())) & POLLHUP) != 0;
}

absl::StatusOr<std::unique_ptr<Keeper>> Keeper::Spawn(const std::string& program,
                                                      KeeperLimits limits,
                                                      const KeeperProcess::Wait& wait) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return CallFailed("socketpair()", errno);
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  ASSIGN_OR_RETURN(KeeperProcess process, KeeperProcess::Start(program, theirs.get(), wait));
  theirs.Reset();
  std::unique_ptr<Keeper> keeper(new Keeper(std::move(process), std::move(ours), limits));
  const absl::StatusOr<KeeperAnswer> answer =
      keeper->Ask(Message(HLBUF_KEEPER_COUNT), {}, HLBUF_KEEPER_COUNTED, limits.start);
  if (!answer.ok())
    return absl::Status(answer.status().code(),
                        absl::StrCat(program, ": ", answer.status().message()));
  return keeper;
}

absl::StatusOr<std::unique_ptr<Keeper>> Keeper::At(UniqueFd connection, KeeperLimits limits,
                                                   absl::Duration answers_in) {
  std::unique_ptr<Keeper> keeper(new Keeper(std::nullopt, std::move(connection), limits));
  const absl::Status answered =
      keeper->Ask(Message(HLBUF_KEEPER_COUNT), {}, HLBUF_KEEPER_COUNTED, answers_in).status();
  if (answered.ok()) return keeper;
  keeper->Leave();
  return answered;
}

// It may be closing what it was told to drop.
absl::StatusOr<std::unique_ptr<Keeper>> Keeper::Adopt(UniqueFd connection, KeeperLimits limits) {
  return At(std::move(connection), limits, limits.drop);
}

absl::StatusOr<std::unique_ptr<Keeper>> Keeper::Meet(UniqueFd connection, KeeperLimits limits) {
  return At(std::move(connection), limits, limits.start);
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
  // As of the last answer; there were drops since that brought none.
  if (room_ == 0) RETURN_IF_ERROR(Count().status());
  if (room_ == 0)
    return Error(ErrorCode::kQuotaExceeded,
                 "the keeper has no free descriptor: raise its LimitNOFILE=");
  hlbuf_keeper_message message = Message(HLBUF_KEEPER_KEEP);
  message.id = id;
  const Deadline deadline(limits_.keep);
  CrashPoint("before-keeper-keep");
  absl::Status told = connection_.Tell(message, {}, fd, deadline);
  CrashPoint("after-keeper-keep");
  // Too many unread descriptors of this user: perhaps the keeper's own, until it has read them.
  if (absl::IsResourceExhausted(told)) {
    RETURN_IF_ERROR(Count().status());
    told = connection_.Tell(message, {}, fd, deadline);
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

absl::Status Keeper::DropSoon(absl::Span<const std::uint64_t> ids) {
  while (!ids.empty()) {
    const auto some = ids.subspan(0, HLBUF_KEEPER_IDS_MAX);
    hlbuf_keeper_message message = Message(HLBUF_KEEPER_DROP, some.size());
    message.flags = HLBUF_KEEPER_UNANSWERED;
    CrashPoint("before-keeper-drop-soon");
    const absl::Status told = connection_.Tell(message, BytesOf(some), -1, Deadline(limits_.keep));
    CrashPoint("after-keeper-drop-soon");
    if (!told.ok()) return absl::IsUnavailable(told) ? absl::OkStatus() : told;
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

absl::StatusOr<std::vector<KeptCopy>> Keeper::Fetch() {
  const Deadline deadline(limits_.fetch);
  std::vector<KeptCopy> all;
  while (true) {
    std::uint32_t kept = 0;
    ASSIGN_OR_RETURN(std::vector<KeptCopy> some, FetchSome(all.size(), deadline, kept));
    if (some.empty() && all.size() == kept) return all;
    if (some.empty() || all.size() + some.size() > kept)
      return absl::DataLossError(
          absl::StrCat("the keeper says that it keeps ", kept, ", and sends another number"));
    std::move(some.begin(), some.end(), std::back_inserter(all));
  }
}

// One message at a time: what is unread counts against this user.
absl::StatusOr<std::vector<KeptCopy>> Keeper::FetchSome(std::size_t passed_over, Deadline deadline,
                                                        std::uint32_t& kept) {
  constexpr absl::Duration kPause = absl::Milliseconds(10);
  const absl::Status exhausted = absl::ResourceExhaustedError(
      "this user has too many descriptors in messages that nobody reads");
  hlbuf_keeper_message message = Message(HLBUF_KEEPER_FETCH);
  message.id = passed_over;
  for (bool refused = false;; refused = true) {
    CrashPoint("before-keeper-fetch");
    absl::StatusOr<KeeperAnswer> answer =
        connection_.Ask(message, {}, HLBUF_KEEPER_FETCHED, deadline);
    CrashPoint("after-keeper-fetch");
    if (!answer.ok() && ErrnoOf(answer.status()) == EOPNOTSUPP)
      return absl::UnimplementedError(
          "the keeper is of an earlier version, which gives back nothing of what it keeps");
    if (refused && absl::IsDeadlineExceeded(answer.status())) return exhausted;
    if (!answer.ok()) return WithFate(answer.status());
    room_ = answer->message.room;
    kept = answer->message.kept;
    if (answer->message.error == 0) return std::move(answer->copies);
    if (answer->message.error != ETOOMANYREFS)
      return CallFailed("the keeper, asked for what it keeps,", answer->message.error);
    if (deadline.LeftMs() == 0) return exhausted;
    (void)Await(connection_.fd(), 0, Deadline(kPause));
  }
}

absl::StatusOr<KeeperAnswer> Keeper::Ask(hlbuf_keeper_message message,
                                         absl::Span<const std::byte> following,
                                         hlbuf_keeper_verb answer, absl::Duration limit) {
  CrashPoint("before-keeper-question");
  absl::StatusOr<KeeperAnswer> got = connection_.Ask(message, following, answer, Deadline(limit));
  CrashPoint("after-keeper-answer");
  if (!got.ok()) return WithFate(got.status());
  room_ = got->message.room;
  return got;
}

absl::Status Keeper::WithFate(absl::Status status) const {
  if (!absl::IsUnavailable(status)) return status;
  return Error(ErrorCode::kDeviceUnavailable,
               process_ ? absl::StrCat(status.message(), "; ", Who(), " ", process_->Fate())
                        : absl::StrCat(status.message(), "; another process began it"));
}

}  // namespace hlbuf
