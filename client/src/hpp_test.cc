// SPDX-License-Identifier: Apache-2.0
// The owners of hlbuf.hpp, against a fake daemon.
#include "hlbuf/hlbuf.hpp"

#include <future>

#include "client/src/fake_daemon.h"

namespace hlbuf::testing {
namespace {

using Leases = std::vector<std::uint64_t>;

class Owners : public ClientTest {
 protected:
  static Options OptionsFor(const FakeDaemon& daemon) {
    Options options;
    options.socket_path = daemon.path();
    options.timeout = std::chrono::seconds(20);
    return options;
  }
};

TEST_F(Owners, ReleaseAndUnmapByThemselves) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 2);
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{1});  // moved over
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{2});
    talk.ExpectEnd();
  });
  Client client(OptionsFor(daemon));
  EXPECT_EQ(client.session_id(), 42U);
  Buffer first = client.OpenId(1);
  Buffer second = client.OpenName("n");
  Mapping mapping = first.Map();
  EXPECT_EQ(mapping.size_bytes(), 4096U);
  {
    const CpuAccess access(first.fd(), CpuAccess::kWrite);
    static_cast<char*>(mapping.data())[0] = 'x';
  }
  mapping = second.Map(PROT_READ);
  EXPECT_EQ(static_cast<const char*>(mapping.data())[0], 'x');  // the fake has one memory
  first = std::move(second);
  EXPECT_EQ(first.lease_id(), 2U);
}

TEST_F(Owners, HearOfARestart) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.GreetForGood();
    talk.HangUp();
    Conversation next = talk.Next();
    next.TakeBack();
    next.ExpectEnd();
  });
  std::vector<std::uint32_t> states;
  Options options = OptionsFor(daemon);
  options.reconnect_timeout = std::chrono::seconds(20);
  options.on_service = [&](std::uint32_t state) { states.push_back(state); };
  Client client(std::move(options));
  while (states.empty() || states.back() != HLBUF_SERVICE_BACK)
    client.Dispatch(std::chrono::seconds(20));
  EXPECT_EQ(states.size(), 2U);
}

TEST_F(Owners, MayDoWithoutRestarts) {
  FakeDaemon daemon([](Conversation& talk) { talk.GreetForGood(); });
  Options options = OptionsFor(daemon);
  options.reconnect = false;
  Client client(std::move(options));
  EXPECT_EQ(client.TryOpenId(1).error().code, HLBUF_E_SERVICE_GONE);
}

TEST_F(Owners, AllocatePassesEverythingOn) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    const Request request = talk.Expect(HLBUF_WIRE_ALLOCATE);
    EXPECT_EQ(request.trailing(), "namedevicek=v");
    talk.Refuse(request, HLBUF_WIRE_NO_MEMORY, "full");
    talk.ExpectEnd();
  });
  Client client(OptionsFor(daemon));
  const Result<Buffer> buffer =
      client.TryAllocate({.size_bytes = 1, .name = "name", .device = "device", .labels = {"k=v"}});
  ASSERT_FALSE(buffer);
  EXPECT_EQ(buffer.error().code, HLBUF_E_NO_MEMORY);
}

TEST_F(Owners, OpenManyGivesAnOutcomePerItem) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    for (std::uint64_t lease = 1; lease <= 2; ++lease) talk.Expect(HLBUF_WIRE_RELEASE);
    talk.ExpectEnd();
  });
  Client client(OptionsFor(daemon));
  std::vector<hlbuf_open_item> items(2);
  items[0].buffer_id = items[1].buffer_id = 1;
  const std::vector<Result<Buffer>> results = client.OpenMany(items);
  ASSERT_EQ(results.size(), 2U);
  EXPECT_TRUE(results[0]);
  EXPECT_TRUE(results[1]);
}

TEST_F(Owners, CallbacksMayBeLambdasAndMoveWithTheClient) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    talk.Revoke({1});
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{1});
    talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "");
    talk.ExpectEnd();
  });
  std::promise<std::uint64_t> revoked;
  std::promise<void> gone;
  Options options = OptionsFor(daemon);
  options.on_revoke = [&](const hlbuf_revocation& r) {
    revoked.set_value(r.lease_id);
    return HLBUF_REVOKE_RELEASE;
  };
  options.on_goodbye = [&](const hlbuf_goodbye&) { gone.set_value(); };
  Client made(std::move(options));
  Client client(std::move(made));
  const Buffer buffer = client.OpenId(1);
  ASSERT_EQ(client.StartThread(), HLBUF_OK);
  EXPECT_EQ(revoked.get_future().get(), 1U);
  gone.get_future().wait();
  EXPECT_TRUE(buffer.is_revoked());
  EXPECT_FALSE(buffer.is_current());
}

TEST_F(Owners, DevicesGrowsUntilAllAreThere) {
  constexpr std::size_t kDevices = 20;
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    const std::vector<hlbuf_wire_device_item> items(
        kDevices, {.page_bytes = 4096, .name_offset = 0, .name_bytes = 1, .kind_bytes = 1});
    std::string trailing(reinterpret_cast<const char*>(items.data()), kDevices * sizeof(items[0]));
    for (int i = 0; i < 2; ++i) {
      talk.Send(
          MakeFrame(HLBUF_WIRE_DEVICE_LIST, talk.Expect(HLBUF_WIRE_DEVICES).cookie(),
                    hlbuf_wire_device_list{.item_count = kDevices, .item_bytes = sizeof(items[0])},
                    trailing + "ds"));
    }
    talk.ExpectEnd();
  });
  Client client(OptionsFor(daemon));
  const std::vector<hlbuf_device> devices = client.Devices();
  ASSERT_EQ(devices.size(), kDevices);
  EXPECT_STREQ(devices[19].name, "d");
}

}  // namespace
}  // namespace hlbuf::testing
