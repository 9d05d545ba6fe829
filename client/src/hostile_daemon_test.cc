// SPDX-License-Identifier: Apache-2.0
// A daemon that is broken, late, or lies: no descriptor leaks, no lease is forgotten, no call
// hangs.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <future>

#include "client/src/fake_daemon.h"

namespace hlbuf::testing {
namespace {

using Leases = std::vector<std::uint64_t>;

class HostileDaemon : public ClientTest {
 protected:
  // What an open of one buffer ends with when the daemon answers by `answer`.
  int OpenAgainst(const std::function<void(Conversation&, const Request&)>& answer) {
    FakeDaemon daemon([&](Conversation& talk) {
      talk.Greet();
      answer(talk, talk.Expect(HLBUF_WIRE_OPEN));
    });
    hlbuf_client* client = Connect(daemon);
    hlbuf_buffer* buffer = nullptr;
    const int code = hlbuf_open_id(client, 1, &buffer, &error_);
    EXPECT_EQ(buffer == nullptr, code != HLBUF_OK);
    if (code == HLBUF_E_BAD_REPLY) {
      EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, nullptr), HLBUF_E_SERVICE_GONE);
    }
    hlbuf_buffer_release(buffer);
    hlbuf_client_close(client);
    return code;
  }
};

struct OneItem {
  hlbuf_wire_opened opened = {
      .item_count = 1, .item_bytes = sizeof(hlbuf_wire_opened_item), .fd_count = 1};
  hlbuf_wire_opened_item item = {.buffer_id = 1, .lease_id = 9, .size_bytes = 4096, .epoch = 1};

  Bytes Frame(std::uint64_t cookie, std::string_view texts = {}) const {
    std::string trailing(reinterpret_cast<const char*>(&item), sizeof(item));
    trailing += texts;
    return MakeFrame(HLBUF_WIRE_OPENED, cookie, opened, trailing);
  }
};

TEST_F(HostileDaemon, IsUnderstoodWhenItIsHonest) {
  EXPECT_EQ(OpenAgainst([](Conversation& talk, const Request& open) {
              talk.Send(OneItem().Frame(open.cookie()), {SomeMemory().get()});
              EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{9});
              talk.ExpectEnd();
            }),
            HLBUF_OK);
}

TEST_F(HostileDaemon, FramesThatDoNotAddUpEndTheSession) {
  using Spoil = std::function<void(OneItem&)>;
  const std::vector<Spoil> spoils = {
      [](OneItem& f) { f.opened.item_count = 2; },
      [](OneItem& f) { f.opened.item_count = 0, f.opened.fd_count = 0; },
      [](OneItem& f) { f.opened.item_count = 1000; },
      [](OneItem& f) { f.opened.item_bytes = 0; },
      [](OneItem& f) { f.opened.item_bytes = 40; },
      [](OneItem& f) { f.opened.item_bytes = 56; },
      [](OneItem& f) { f.opened.fd_count = 0; },
      [](OneItem& f) { f.opened.fd_count = 2; },
      [](OneItem& f) { f.opened.reserved = 1; },
      [](OneItem& f) { f.item.reserved = 1; },
      [](OneItem& f) { f.item.reserved2 = 1; },
      [](OneItem& f) { f.item.lease_id = 0; },
      [](OneItem& f) { f.item.status = HLBUF_WIRE_GONE; },  // yet there is a descriptor
      [](OneItem& f) { f.item.status = 100; },
      [](OneItem& f) {
        f.item = {.status = HLBUF_WIRE_GONE, .text_offset = 0, .text_bytes = 1};
        f.opened.fd_count = 0;
      },
      [](OneItem& f) {
        f.item = {.status = HLBUF_WIRE_GONE, .text_offset = UINT32_MAX, .text_bytes = 1};
        f.opened.fd_count = 0;
      },
  };
  for (std::size_t i = 0; i < spoils.size(); ++i) {
    EXPECT_EQ(OpenAgainst([&](Conversation& talk, const Request& open) {
                OneItem frame;
                spoils[i](frame);
                talk.Send(frame.Frame(open.cookie()), {SomeMemory().get()});
                talk.ExpectEnd();
              }),
              HLBUF_E_BAD_REPLY)
        << "spoil " << i;
  }
}

TEST_F(HostileDaemon, HeadersThatContradictThePacketEndTheSession) {
  using Spoil = std::function<void(hlbuf_wire_header&)>;
  const std::vector<Spoil> spoils = {
      [](hlbuf_wire_header& h) { h.frame_bytes += 1; },
      [](hlbuf_wire_header& h) { h.frame_bytes = 0; },
      [](hlbuf_wire_header& h) { h.fixed_bytes = 0; },
      [](hlbuf_wire_header& h) { h.fixed_bytes = 16; },
      [](hlbuf_wire_header& h) { h.fixed_bytes = 25; },
      [](hlbuf_wire_header& h) { h.fixed_bytes = 0xfff8; },
      [](hlbuf_wire_header& h) { h.cookie = 0; },
      [](hlbuf_wire_header& h) { h.cookie += 1; },                    // never asked
      [](hlbuf_wire_header& h) { h.opcode = HLBUF_WIRE_ALLOCATED; },  // not what was asked
      [](hlbuf_wire_header& h) { h.opcode = 0x8f; },
      [](hlbuf_wire_header& h) { h.opcode = HLBUF_WIRE_OPEN; },
      [](hlbuf_wire_header& h) { h.opcode = 0; },
      [](hlbuf_wire_header& h) { h.opcode = 0x100; },
  };
  for (std::size_t i = 0; i < spoils.size(); ++i) {
    EXPECT_EQ(OpenAgainst([&](Conversation& talk, const Request& open) {
                Bytes frame = OneItem().Frame(open.cookie());
                spoils[i](reinterpret_cast<hlbuf_wire_header&>(*frame.data()));
                talk.Send(frame, {SomeMemory().get()});
                talk.ExpectEnd();
              }),
              HLBUF_E_BAD_REPLY)
        << "spoil " << i;
  }
}

TEST_F(HostileDaemon, PacketsOfOddSizesEndTheSession) {
  for (const std::size_t bytes : {1U, 15U, 16U, 23U, 32768U, 32769U, 65536U}) {
    EXPECT_EQ(OpenAgainst([&](Conversation& talk, const Request&) {
                talk.Send(Bytes(bytes), {SomeMemory().get()});
                talk.ExpectEnd();
              }),
              HLBUF_E_BAD_REPLY)
        << bytes;
  }
}

TEST_F(HostileDaemon, AnEmptyPacketEndsTheSessionAndLeaksNothing) {
  EXPECT_EQ(OpenAgainst([](Conversation& talk, const Request&) {
              talk.Send({}, {SomeMemory().get()});
              talk.ExpectEnd();
            }),
            HLBUF_E_SERVICE_GONE);
}

TEST_F(HostileDaemon, MoreOrFewerDescriptorsThanGrantedEndTheSession) {
  for (const std::size_t count : {0U, 2U, 253U}) {
    EXPECT_EQ(OpenAgainst([&](Conversation& talk, const Request& open) {
                const UniqueFd memory = SomeMemory();
                talk.Send(OneItem().Frame(open.cookie()), std::vector<int>(count, memory.get()));
                talk.ExpectEnd();
              }),
              HLBUF_E_BAD_REPLY)
        << count;
  }
}

TEST_F(HostileDaemon, DescriptorsWithAFrameThatCarriesNoneEndTheSession) {
  EXPECT_EQ(OpenAgainst([](Conversation& talk, const Request& open) {
              talk.Send(MakeFrame(HLBUF_WIRE_ERROR, open.cookie(),
                                  hlbuf_wire_error{.status = HLBUF_WIRE_GONE, .text_bytes = 0}),
                        {SomeMemory().get()});
              talk.ExpectEnd();
            }),
            HLBUF_E_BAD_REPLY);
}

TEST_F(HostileDaemon, BrokenErrorsAndNoticesEndTheSession) {
  const std::vector<Bytes> frames = {
      MakeFrame(HLBUF_WIRE_ERROR, 2, hlbuf_wire_error{.status = 0, .text_bytes = 0}),
      MakeFrame(HLBUF_WIRE_ERROR, 2, hlbuf_wire_error{.status = 101, .text_bytes = 0}),
      MakeFrame(HLBUF_WIRE_ERROR, 2, hlbuf_wire_error{.status = 4, .text_bytes = 1}),
      MakeFrame(HLBUF_WIRE_REVOKE, 0, hlbuf_wire_revoke{.lease_count = 0, .item_bytes = 16}),
      MakeFrame(HLBUF_WIRE_REVOKE, 0, hlbuf_wire_revoke{.lease_count = 1, .item_bytes = 16}),
      MakeFrame(HLBUF_WIRE_REVOKE, 0,
                hlbuf_wire_revoke{.lease_count = UINT32_MAX, .item_bytes = UINT32_MAX - 7}),
      MakeFrame(HLBUF_WIRE_REVOKE, 1, hlbuf_wire_revoke{.lease_count = 1, .item_bytes = 16}),
      MakeFrame(HLBUF_WIRE_DEVICE, 0, hlbuf_wire_device{.name_bytes = 0}),
      MakeFrame(HLBUF_WIRE_DEVICE, 0, hlbuf_wire_device{.name_bytes = 4}, "abc"),
      MakeFrame(HLBUF_WIRE_DEVICE, 0, hlbuf_wire_device{.name_bytes = 64}, std::string(64, 'd')),
      MakeFrame(HLBUF_WIRE_PING, 0, hlbuf_wire_header{}),
      MakeFrame(HLBUF_WIRE_GOODBYE, 0, hlbuf_wire_goodbye{.reason = 1, .text_bytes = UINT32_MAX}),
  };
  for (std::size_t i = 0; i < frames.size(); ++i) {
    EXPECT_EQ(OpenAgainst([&](Conversation& talk, const Request&) {
                talk.Send(frames[i]);
                talk.ExpectEnd();
              }),
              HLBUF_E_BAD_REPLY)
        << "frame " << i;
  }
}

TEST_F(HostileDaemon, ANoticeThatIsNotKnownYetIsSkipped) {
  EXPECT_EQ(OpenAgainst([](Conversation& talk, const Request& open) {
              talk.Send(MakeFrame(0x9f, 0, hlbuf_wire_header{}, "of a later daemon"));
              talk.Grant(open, 1);
              talk.Expect(HLBUF_WIRE_RELEASE);
              talk.ExpectEnd();
            }),
            HLBUF_OK);
}

TEST_F(HostileDaemon, GoodbyeInPlaceOfAnAnswerGivesItsReason) {
  EXPECT_EQ(OpenAgainst([](Conversation& talk, const Request&) {
              talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "maintenance");
              talk.ExpectEnd();
            }),
            HLBUF_E_SERVICE_GONE);
  EXPECT_NE(std::string_view(error_.text).find("SHUTDOWN"), std::string_view::npos);
  EXPECT_NE(std::string_view(error_.text).find("maintenance"), std::string_view::npos);
}

TEST_F(HostileDaemon, EndOfFileInPlaceOfAnAnswerIsAServiceGone) {
  EXPECT_EQ(OpenAgainst([](Conversation& talk, const Request&) { talk.HangUp(); }),
            HLBUF_E_SERVICE_GONE);
}

// The daemon leaves with requests unread: the kernel reports ECONNRESET in front of the GOODBYE.
TEST_F(HostileDaemon, AGoodbyeBehindAConnectionResetIsFound) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "in time for lunch");
    char peeked;
    EXPECT_EQ(::recv(talk.socket(), &peeked, 1, MSG_PEEK), 1);
    talk.HangUp();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = nullptr;
  EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, &error_), HLBUF_E_SERVICE_GONE);
  EXPECT_NE(std::string_view(error_.text).find("in time for lunch"), std::string_view::npos);
  hlbuf_client_close(client);
}

// Sending fails by then, without a SIGPIPE; the reason is still there to be read.
TEST_F(HostileDaemon, ARequestAfterTheDaemonLeftFindsItsGoodbye) {
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
TEST_F(HostileDaemon, GrantsBehindAGoodbyeAreClosedAtOnce) {
  std::promise<void> looked;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "");
    talk.Send(OneItem().Frame(open.cookie()), {write_end.get()});
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

TEST_F(HostileDaemon, ALateGrantIsGivenBack) {
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
TEST_F(HostileDaemon, AClientThatWaitsForRoomGoesOnReading) {
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

TEST_F(HostileDaemon, AClientWithoutFreeDescriptorsGivesTheWholeGrantBack) {
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
