// SPDX-License-Identifier: Apache-2.0
#include "tests/support/control_calls.h"

#include <grpcpp/generic/generic_stub.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <future>
#include <vector>

namespace hlbuf {
namespace {

// Descriptors of this process that refer to the same file as `fd`.
std::size_t CopiesOf(int fd) {
  struct stat file = {};
  EXPECT_EQ(::fstat(fd, &file), 0);
  std::size_t copies = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    struct stat other = {};
    // Not there any more: closed meanwhile.
    if (::stat(entry.path().c_str(), &other) == 0 && other.st_ino == file.st_ino &&
        other.st_dev == file.st_dev)
      ++copies;
  }
  return copies;
}

// One byte with `copies` of `fd`; without them where the kernel refuses to take them along.
void SendDescriptors(int socket, int fd, std::size_t copies) {
  const std::vector<int> numbers(copies, fd);
  std::vector<char> control(CMSG_SPACE(numbers.size() * sizeof(int)));
  char byte = 'P';
  iovec iov = {.iov_base = &byte, .iov_len = 1};
  msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.data()};
  header.msg_controllen = control.size();
  cmsghdr* message = CMSG_FIRSTHDR(&header);
  message->cmsg_level = SOL_SOCKET;
  message->cmsg_type = SCM_RIGHTS;
  message->cmsg_len = CMSG_LEN(numbers.size() * sizeof(int));
  std::memcpy(CMSG_DATA(message), numbers.data(), numbers.size() * sizeof(int));
  if (::sendmsg(socket, &header, MSG_NOSIGNAL) == 1) return;
  EXPECT_TRUE(errno == EPERM || errno == EPIPE || errno == ECONNRESET) << std::strerror(errno);
  ::send(socket, &byte, 1, MSG_NOSIGNAL);
}

}  // namespace

std::string HealthOf(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  // HealthCheckRequest has one string, HealthCheckResponse one enum, both as field 1.
  std::string bytes;
  if (!service.empty()) bytes = {'\x0a', static_cast<char>(service.size())};
  const grpc::Slice slice(bytes + service);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::ClientContext context;
  context.set_deadline(CallDeadline());
  std::promise<grpc::Status> answered;
  grpc::GenericStub(channel).UnaryCall(
      &context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &response,
      [&](grpc::Status status) { answered.set_value(std::move(status)); });
  const grpc::Status status = answered.get_future().get();
  if (!status.ok()) return status.error_message();
  grpc::Slice answer;
  if (!response.DumpToSingleSlice(&answer).ok() || answer.size() != 2) return "no status";
  return answer.begin()[1] == 1 ? "SERVING" : "NOT_SERVING";
}

ReflectionCall::ReflectionCall(const std::shared_ptr<grpc::Channel>& channel) {
  const grpc::internal::RpcMethod method(
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
      grpc::internal::RpcMethod::BIDI_STREAMING);
  context_.set_deadline(CallDeadline());
  using Factory = grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>;
  stream_.reset(Factory::Create(channel.get(), method, &context_));
}

ReflectionCall::~ReflectionCall() {
  context_.TryCancel();
  static_cast<void>(stream_->Finish());
}

std::string ReflectionCall::Services() {
  const grpc::Slice list_services(std::string("\x3a\x00", 2));
  grpc::ByteBuffer response;
  grpc::Slice bytes;
  if (!stream_->Write(grpc::ByteBuffer(&list_services, 1)) || !stream_->Read(&response) ||
      !response.DumpToSingleSlice(&bytes).ok())
    return "";
  return {bytes.begin(), bytes.end()};
}

UniqueFd RawConnect(const std::string& path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const timeval timeout = {.tv_sec = 30, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    socket.Reset();
  return socket;
}

bool IsClosed(int socket) {
  char bytes[4096];
  ssize_t got = 1;
  while (got > 0) got = ::recv(socket, bytes, sizeof(bytes), 0);
  return got == 0 || errno == ECONNRESET;
}

std::size_t DescriptorsLeftBehind(ControlRig& rig) {
  const UniqueFd sent(::memfd_create("sent", MFD_CLOEXEC));
  for (int i = 0; i < 30; ++i) {
    // Closed while what the server said is unread: an error on the server's side.
    const UniqueFd breaks_off = RawConnect(rig.path());
    SendDescriptors(breaks_off.get(), sent.get(), 200);
    SendDescriptors(breaks_off.get(), sent.get(), 1);
    const UniqueFd ends = RawConnect(rig.path());
    SendDescriptors(ends.get(), sent.get(), 64);
    ::shutdown(ends.get(), SHUT_WR);
    EXPECT_TRUE(IsClosed(ends.get()));
  }
  rig.Until([&] { return CopiesOf(sent.get()) == 1; });
  return CopiesOf(sent.get()) - 1;
}

}  // namespace hlbuf
