// SPDX-License-Identifier: Apache-2.0
// Answers that come too late, not at all, or to a process that cannot take them.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <future>

#include "client/src/fake_daemon.h"

namespace hlbuf::testing {
namespace {

using Leases = std::vector<std::uint64_t>;

class LostAnswers : public ClientTest {};

// Sending fails by then, without a SIGPIPE; the reason is still there to be read.
TEST_F(LostAnswers, ARequestAfterTheDaemonLeftFindsItsGoodbye) {
  std::promise<void> left;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "gone fishing");
    talk.HangUp();
    left.set_value();
  });
  hlbuf_client* client = Connect(daemon);
  left.get_future().wait();
  hlbuf_buffer* buffer = nullptr;
  EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, &error_), HLBUF_E_SERVICE_GONE);
  EXPECT_NE(std::string_view(error_.text).find("gone fishing"), std::string_view::npos);
  hlbuf_client_close(client);
}

// A packet that nobody reads any more must not keep its buffer alive in an idle program's socket.
TEST_F(LostAnswers, GrantsBehindAGoodbyeAreClosedAtOnce) {
  std::promise<void> looked;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "");
    const hlbuf_wire_allocated unread = {
        .buffer_id = 1, .lease_id = 1, .size_bytes = 4096, .epoch = 1};
    talk.Send(MakeFrame(HLBUF_WIRE_ALLOCATED, open.cookie(), unread), {write_end.get()});
    write_end.Reset();
    pollfd p = {.fd = read_end.get(), .events = 0, .revents = 0};
    EXPECT_EQ(::poll(&p, 1, 20000), 1);  // POLLHUP: every copy of the other end was closed
    looked.set_value();
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = nullptr;
  EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, &error_), HLBUF_E_SERVICE_GONE);
  looked.get_future().wait();
  hlbuf_client_close(client);
}

TEST_F(LostAnswers, ALateGrantIsGivenBack) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    const Request allocate = talk.Expect(HLBUF_WIRE_ALLOCATE);
    const Request devices = talk.Expect(HLBUF_WIRE_DEVICES);
    talk.Grant(open, 5);
    talk.Send(MakeFrame(HLBUF_WIRE_ALLOCATED, allocate.cookie(),
                        hlbuf_wire_allocated{
                            .buffer_id = 7, .lease_id = 8, .size_bytes = 4096, .epoch = 1}),
              {SomeMemory().get()});
    talk.Refuse(devices, HLBUF_WIRE_SHUTTING_DOWN, "");
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{5});
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{8});
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_client_set_timeout(client, 30);
  hlbuf_buffer* buffer = nullptr;
  EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, &error_), HLBUF_E_TIMED_OUT);
  hlbuf_allocate_options options = {};
  options.struct_bytes = sizeof(options);
  options.size_bytes = 1;
  EXPECT_EQ(hlbuf_allocate(client, &options, &buffer, &error_), HLBUF_E_TIMED_OUT);
  EXPECT_EQ(buffer, nullptr);
  hlbuf_client_set_timeout(client, 20000);
  std::size_t count = 0;
  EXPECT_EQ(hlbuf_devices(client, nullptr, 0, &count, &error_), HLBUF_E_SHUTTING_DOWN);
  hlbuf_client_close(client);
}

// Both directions are full: the daemon reads on only after its own packets were taken.
TEST_F(LostAnswers, AClientThatWaitsForRoomGoesOnReading) {
  std::promise<void> full;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    full.get_future().wait();
    const std::string ballast(30000, 'x');
    for (int i = 0; i < 50; ++i) talk.Send(MakeFrame(0x9f, 0, hlbuf_wire_header{}, ballast));
    Request request = talk.Receive();
    while (request.opcode() == HLBUF_WIRE_OPEN) request = talk.Receive();
    talk.Refuse(request, HLBUF_WIRE_BUSY, "");
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  const std::string name(63, 'n');
  const std::vector<hlbuf_open_item> items(
      253, {.buffer_id = 0, .name = name.c_str(), .owner_uid = 0, .reserved = 0});
  std::vector<hlbuf_open_result> results(items.size());
  hlbuf_client_set_timeout(client, 10);
  for (int i = 0; i < 30; ++i)
    EXPECT_EQ(hlbuf_open_many(client, items.data(), items.size(), results.data(), &error_),
              HLBUF_E_TIMED_OUT);
  full.set_value();
  hlbuf_client_set_timeout(client, 20000);
  std::size_t count = 0;
  EXPECT_EQ(hlbuf_devices(client, nullptr, 0, &count, &error_), HLBUF_E_BUSY) << error_.text;
  hlbuf_client_close(client);
}

// Runs the process short of descriptors as long as it lives.
class FewDescriptors {
 public:
  explicit FewDescriptors(int spare) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &old_), 0);
    const int next = ::dup(STDERR_FILENO);
    ::close(next);
    const rlimit low = {.rlim_cur = static_cast<rlim_t>(next + spare), .rlim_max = old_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  }
  ~FewDescriptors() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &old_), 0); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit old_ = {};
};

TEST_F(LostAnswers, AClientWithoutFreeDescriptorsGivesTheWholeGrantBack) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), (Leases{1, 2, 3, 4, 5}));
    const Request allocate = talk.Expect(HLBUF_WIRE_ALLOCATE);
    talk.Send(MakeFrame(HLBUF_WIRE_ALLOCATED, allocate.cookie(),
                        hlbuf_wire_allocated{
                            .buffer_id = 7, .lease_id = 8, .size_bytes = 4096, .epoch = 1}),
              {talk.socket()});
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{8});
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1001);
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{1001});
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  const std::vector<hlbuf_open_item> items(
      5, {.buffer_id = 1, .name = nullptr, .owner_uid = 0, .reserved = 0});
  std::vector<hlbuf_open_result> results(items.size());
  hlbuf_buffer* buffer = nullptr;
  const int fds = OpenFds();
  {
    const FewDescriptors two_left(2);
    EXPECT_EQ(hlbuf_open_many(client, items.data(), items.size(), results.data(), &error_),
              HLBUF_E_NO_DESCRIPTORS);
  }
  for (const hlbuf_open_result& result : results) EXPECT_EQ(result.buffer, nullptr);
  EXPECT_NE(std::string_view(error_.text).find("RLIMIT_NOFILE"), std::string_view::npos);
  {
    const FewDescriptors none_left(0);
    hlbuf_allocate_options options = {};
    options.struct_bytes = sizeof(options);
    EXPECT_EQ(hlbuf_allocate(client, &options, &buffer, &error_), HLBUF_E_NO_DESCRIPTORS);
  }
  EXPECT_EQ(buffer, nullptr);
  EXPECT_EQ(OpenFds(), fds);
  EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, &error_), HLBUF_OK) << error_.text;
  hlbuf_buffer_release(buffer);
  hlbuf_client_close(client);
}

}  // namespace
}  // namespace hlbuf::testing
