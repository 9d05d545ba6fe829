// SPDX-License-Identifier: Apache-2.0
// Releases that the socket has no room for.
#include <poll.h>
#include <sched.h>

#include <fstream>
#include <future>
#include <iterator>
#include <set>

#include "client/src/listener_fixture.h"

namespace hlbuf::testing {
namespace {

class Outbox : public ListenerTest {};

// Returns once the calling process' thread `tid` sleeps in the kernel.
void AwaitSleep(pid_t tid) {
  char state = 'R';
  while (state != 'S') {
    ::sched_yield();
    std::ifstream stat("/proc/self/task/" + std::to_string(tid) + "/stat");
    std::string text(std::istreambuf_iterator<char>(stat), {});
    state = text[text.rfind(')') + 2];
  }
}

// A daemon that does not read lets the socket fill up; releases wait in the client, none is lost.
TEST_F(Outbox, ReleasesThatFindNoRoomAreSentLater) {
  constexpr std::size_t kBatches = 6;  // one by one, more than a socket has room for; the rest of
  constexpr std::size_t kBuffers = kBatches * HLBUF_OPEN_MAX;  // them more than fit into a frame
  std::promise<pid_t> all_released;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    for (std::size_t batch = 0; batch < kBatches; ++batch)
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1 + batch * HLBUF_OPEN_MAX);
    AwaitSleep(all_released.get_future().get());  // it dispatches, and nothing comes
    std::set<std::uint64_t> released;
    std::size_t frames = 0;
    for (; released.size() < kBuffers; ++frames) {
      const Request release = talk.Expect(HLBUF_WIRE_RELEASE);
      if (!release) break;
      for (const std::uint64_t lease : release.leases()) released.insert(lease);
    }
    EXPECT_LT(frames, kBuffers);  // what waited went together: the socket was full indeed
    talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "all are back");
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  std::vector<hlbuf_open_item> items(HLBUF_OPEN_MAX);
  std::vector<hlbuf_open_result> results(items.size() * kBatches);
  for (hlbuf_open_item& item : items) item.buffer_id = 1;
  for (std::size_t i = 0; i < results.size(); i += items.size()) {
    ASSERT_EQ(hlbuf_open_many(client, items.data(), items.size(), &results[i], &error_), HLBUF_OK);
    // Few processes may have so many descriptors.
    for (std::size_t k = 0; k < items.size(); ++k)
      ::close(hlbuf_buffer_take_fd(results[i + k].buffer));
  }
  for (const hlbuf_open_result& result : results) hlbuf_buffer_release(result.buffer);
  all_released.set_value(::gettid());
  EXPECT_EQ(DispatchUntil(client, [] { return false; }), HLBUF_E_SERVICE_GONE);
  EXPECT_EQ(listener_.goodbyes, std::vector<std::string>{"SHUTDOWN: all are back"});
  hlbuf_client_close(client);
}

// The same with a program that sleeps in its own poll().
TEST_F(Outbox, ThePollDescriptorTellsThatThereIsRoomAgain) {
  constexpr std::uint64_t kBuffers = 400;
  std::promise<void> all_released;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    for (std::uint64_t lease = 1; lease <= kBuffers; ++lease)
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), lease);
    all_released.get_future().wait();
    for (std::size_t released = 0; released < kBuffers;)
      released += talk.Expect(HLBUF_WIRE_RELEASE).leases().size();
    talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "");
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  pollfd p = {.fd = hlbuf_client_fd(client, &error_), .events = POLLIN, .revents = 0};
  for (hlbuf_buffer* buffer : Open(client, kBuffers)) hlbuf_buffer_release(buffer);
  all_released.set_value();
  while (listener_.goodbyes.empty()) {
    ASSERT_EQ(::poll(&p, 1, 20000), 1);
    hlbuf_dispatch(client, 0, &error_);
  }
  hlbuf_client_close(client);
}

}  // namespace
}  // namespace hlbuf::testing
