// SPDX-License-Identifier: Apache-2.0
// Whether a buffer is current: what the epoch page says, what a daemon without one leaves, and what
// a daemon that lies may do.
#include <fcntl.h>
#include <sys/mman.h>

#include <atomic>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "client/src/restart_fixture.h"

namespace hlbuf::testing {
namespace {

constexpr std::uint32_t kFirst = HLBUF_WIRE_EPOCH_FIRST_SLOT;
constexpr std::size_t kWords = 512;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// An epoch page as a daemon makes it, or nearly.
class Page {
 public:
  explicit Page(std::size_t bytes = kWords * 8, int seals = kSeals,
                std::uint64_t magic = HLBUF_WIRE_EPOCH_MAGIC)
      : memory_(::memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
    EXPECT_EQ(::ftruncate(memory_.get(), static_cast<off_t>(bytes)), 0);
    EXPECT_EQ(::fcntl(memory_.get(), F_ADD_SEALS, seals), 0);
    Set(0, magic);
  }
  void Set(std::uint32_t slot, std::uint64_t value) const {
    EXPECT_EQ(::pwrite(memory_.get(), &value, sizeof(value), slot * 8),
              static_cast<ssize_t>(sizeof(value)));
  }
  int fd() const { return memory_.get(); }

 private:
  UniqueFd memory_;
};

hlbuf_wire_welcome WelcomeWithPage(std::uint8_t secret = 1) {
  hlbuf_wire_welcome welcome = Conversation::WelcomeOf(secret);
  welcome.features |= HLBUF_WIRE_FEATURE_EPOCH_PAGE;
  return welcome;
}

class EpochPage : public RestartTest {
 protected:
  // What connecting to a daemon that greets like this ends with.
  static int ConnectTo(const hlbuf_wire_welcome& welcome, const std::vector<int>& fds) {
    FakeDaemon daemon([&](Conversation& talk) {
      talk.Greet(welcome, fds);
      talk.ExpectEnd();
    });
    hlbuf_connect_options options = {};
    options.struct_bytes = sizeof(options);
    options.socket_path = daemon.path().c_str();
    options.timeout_ms = 20'000;
    hlbuf_client* client = nullptr;
    const int code = hlbuf_connect(&options, &client, nullptr);
    hlbuf_client_close(client);
    return code;
  }
  // The next life of the service takes the session back with this; then a request is answered.
  void ComeBack(Conversation& next, const hlbuf_wire_welcome& welcome,
                const std::vector<int>& fds) {
    const Reattach asked = next.ExpectReattach();
    EXPECT_NE(asked.fixed.features & HLBUF_WIRE_FEATURE_EPOCH_PAGE, 0U);
    next.Answer(asked, welcome, fds);
    AnswerDevices(next);
  }
  // A client with one buffer, 1005 at kFirst of `before`, that comes back to this.
  void Return(const Page& before, const hlbuf_wire_welcome& welcome, const std::vector<int>& fds,
              const std::function<void(const hlbuf_buffer*)>& then) {
    FakeDaemon daemon([&](Conversation& talk) {
      talk.Greet(WelcomeWithPage(), {before.fd()});
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5, kFirst);
      talk.HangUp();
      Conversation next = talk.Next();
      ComeBack(next, welcome, fds);
      next.ExpectEnd();
    });
    hlbuf_client* client = Connect(daemon);
    hlbuf_buffer* buffer = OpenOne(client);
    EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
    then(buffer);
    hlbuf_client_close(client);
    hlbuf_buffer_release(buffer);
  }
};

TEST_F(EpochPage, SaysWhetherABufferIsCurrent) {
  const Page page;
  page.Set(kFirst, 1005);
  page.Set(kFirst + 1, 1007);
  FakeDaemon daemon([&](Conversation& talk) {
    const Request hello = talk.Expect(HLBUF_WIRE_HELLO);
    EXPECT_NE(hello.As<hlbuf_wire_hello>().features & HLBUF_WIRE_FEATURE_EPOCH_PAGE, 0U);
    talk.Send(MakeFrame(HLBUF_WIRE_WELCOME, hello.cookie(), WelcomeWithPage()), {page.fd()});
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5, kFirst);
    const Request allocate = talk.Expect(HLBUF_WIRE_ALLOCATE);
    talk.Send(MakeFrame(HLBUF_WIRE_ALLOCATED, allocate.cookie(),
                        hlbuf_wire_allocated{.buffer_id = 1007,
                                             .lease_id = 7,
                                             .size_bytes = 4096,
                                             .epoch = 1,
                                             .epoch_slot = kFirst + 1}),
              {SomeMemory().get()});
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* opened = OpenOne(client);
  hlbuf_buffer* made = nullptr;
  ASSERT_EQ(Allocate(client, &made, &error_), HLBUF_OK) << error_.text;
  EXPECT_TRUE(hlbuf_buffer_is_current(opened));
  EXPECT_TRUE(hlbuf_buffer_is_current(made));
  page.Set(kFirst, 0);
  EXPECT_FALSE(hlbuf_buffer_is_current(opened)) << "without any call that reads";
  EXPECT_FALSE(hlbuf_buffer_is_revoked(opened));
  EXPECT_TRUE(hlbuf_buffer_is_current(made));
  page.Set(kFirst, 2000);
  EXPECT_FALSE(hlbuf_buffer_is_current(opened)) << "the place of another one";
  hlbuf_client_close(client);
  EXPECT_FALSE(hlbuf_buffer_is_current(made)) << "its lease is over";
  hlbuf_buffer_release(opened);
  hlbuf_buffer_release(made);
}

TEST_F(EpochPage, DoesNotOutweighARevocationThatWasRead) {
  const Page page;
  page.Set(kFirst, 1005);
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet(WelcomeWithPage(), {page.fd()});
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5, kFirst);
    talk.Revoke({5}, HLBUF_WIRE_REVOKE_UNSHARED);
    talk.Expect(HLBUF_WIRE_RELEASE);
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  hlbuf_buffer* buffer = OpenOne(client);
  EXPECT_EQ(DispatchUntil(client, [&] { return !listener_.revocations.empty(); }), HLBUF_OK);
  EXPECT_FALSE(hlbuf_buffer_is_current(buffer));
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

TEST_F(EpochPage, HasNotEveryBuffer) {
  const Page page;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet(WelcomeWithPage(), {page.fd()});
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = OpenOne(client);
  EXPECT_FALSE(hlbuf_buffer_is_current(buffer)) << "nobody would say when it is not any more";
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

TEST_F(EpochPage, OfADaemonThatHasNoneLeavesWhatWasRead) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    // As it was before the page.
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    const hlbuf_wire_opened_item item = {
        .buffer_id = 1005, .lease_id = 5, .size_bytes = 4096, .epoch = 1};
    talk.Send(MakeFrame(HLBUF_WIRE_OPENED, open.cookie(),
                        hlbuf_wire_opened{.item_count = 1, .item_bytes = 48, .fd_count = 1},
                        {reinterpret_cast<const char*>(&item), 48}),
              {SomeMemory().get()});
    talk.Revoke({5});
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = OpenOne(client);
  EXPECT_TRUE(hlbuf_buffer_is_current(buffer));
  while (!hlbuf_buffer_is_revoked(buffer)) hlbuf_dispatch(client, 20'000, nullptr);
  EXPECT_FALSE(hlbuf_buffer_is_current(buffer));
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

TEST_F(EpochPage, ThatIsNoneEndsTheSession) {
  const Page sound;
  EXPECT_EQ(ConnectTo(WelcomeWithPage(), {sound.fd()}), HLBUF_OK);
  const Page unsealed(kWords * 8, F_SEAL_GROW);
  const Page odd(kWords * 8 + 4), small(kFirst * 8), huge(std::size_t{65} << 20);
  const Page unmarked(kWords * 8, kSeals, 0);
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  for (const int fd :
       {unsealed.fd(), odd.fd(), small.fd(), huge.fd(), unmarked.fd(), null.get(), file.get()})
    EXPECT_EQ(ConnectTo(WelcomeWithPage(), {fd}), HLBUF_E_BAD_REPLY);
  EXPECT_EQ(ConnectTo(WelcomeWithPage(), {}), HLBUF_E_BAD_REPLY);
  EXPECT_EQ(ConnectTo(WelcomeWithPage(), {sound.fd(), sound.fd()}), HLBUF_E_BAD_REPLY);
  EXPECT_EQ(ConnectTo(Conversation::kWelcome, {sound.fd()}), HLBUF_E_BAD_REPLY);
}

TEST_F(EpochPage, HasNoPlaceBeyondItsEnd) {
  const Page page;
  for (const std::uint32_t slot :
       {std::uint32_t{kWords}, UINT32_MAX, std::uint32_t{1}, kFirst - 1}) {
    FakeDaemon daemon([&](Conversation& talk) {
      talk.Greet(WelcomeWithPage(), {page.fd()});
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5, slot);
      talk.ExpectEnd();
    });
    hlbuf_client* client = Connect(daemon);
    hlbuf_buffer* buffer = nullptr;
    EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, &error_), HLBUF_E_BAD_REPLY) << slot;
    EXPECT_EQ(buffer, nullptr);
    hlbuf_client_close(client);
  }
}

TEST_F(EpochPage, ThatCannotBeTakenLeavesNothingCurrent) {
  const Page page;
  page.Set(kFirst, 1005);
  FakeDaemon daemon([&](Conversation& talk) {
    const Request hello = talk.Expect(HLBUF_WIRE_HELLO);
    {
      const NoFreeDescriptors none;
      talk.Send(MakeFrame(HLBUF_WIRE_WELCOME, hello.cookie(), WelcomeWithPage()), {page.fd()});
      talk.Expect(HLBUF_WIRE_DEVICES);
    }
    talk.Send(MakeFrame(HLBUF_WIRE_DEVICE_LIST, 2,
                        hlbuf_wire_device_list{.item_bytes = sizeof(hlbuf_wire_device_item)}));
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5, kFirst);
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  hlbuf_buffer* buffer = OpenOne(client);
  EXPECT_FALSE(hlbuf_buffer_is_current(buffer));
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

TEST_F(EpochPage, IsTheSameAfterARestart) {
  const Page page;
  page.Set(kFirst, 1005);
  Return(page, WelcomeWithPage(2), {page.fd()}, [&](const hlbuf_buffer* buffer) {
    EXPECT_TRUE(hlbuf_buffer_is_current(buffer));
    page.Set(kFirst, 0);
    EXPECT_FALSE(hlbuf_buffer_is_current(buffer));
  });
}

TEST_F(EpochPage, ThatTookThePlaceOfALostOneIsLookedAt) {
  for (const std::size_t words : {kWords, 2 * kWords}) {
    const Page before, after(words * 8);
    before.Set(kFirst, 1005);
    after.Set(kFirst, 1005);
    Return(before, WelcomeWithPage(2), {after.fd()}, [&](const hlbuf_buffer* buffer) {
      EXPECT_TRUE(hlbuf_buffer_is_current(buffer));
      before.Set(kFirst, 0);
      EXPECT_TRUE(hlbuf_buffer_is_current(buffer));
      after.Set(kFirst, 0);
      EXPECT_FALSE(hlbuf_buffer_is_current(buffer));
    });
  }
}

TEST_F(EpochPage, ThatSaidNoIsNotOverruledByTheNextOne) {
  const Page before, after;
  after.Set(kFirst, 1005);
  for (const auto& [welcome, fds] : {std::pair(WelcomeWithPage(2), std::vector{after.fd()}),
                                     std::pair(Conversation::WelcomeOf(2), std::vector<int>())})
    Return(before, welcome, fds,
           [](const hlbuf_buffer* buffer) { EXPECT_FALSE(hlbuf_buffer_is_current(buffer)); });
}

TEST_F(EpochPage, ThatIsTooSmallForABufferDoesNotHaveIt) {
  const Page before, after((kFirst + 1) * 8);
  before.Set(kFirst, 1005);
  after.Set(kFirst, 1006);
  Return(before, WelcomeWithPage(2), {after.fd()}, [&](const hlbuf_buffer* buffer) {
    EXPECT_FALSE(hlbuf_buffer_is_current(buffer));
    EXPECT_FALSE(hlbuf_buffer_is_revoked(buffer));
  });
}

TEST_F(EpochPage, OfAnEarlierDaemonIsLookedAtNoMore) {
  const Page before;
  before.Set(kFirst, 1005);
  Return(before, Conversation::WelcomeOf(2), {}, [&](const hlbuf_buffer* buffer) {
    before.Set(kFirst, 0);
    EXPECT_TRUE(hlbuf_buffer_is_current(buffer)) << "notices alone say what becomes of it";
  });
}

TEST_F(EpochPage, IsReadWhileTheNextOneTakesItsPlace) {
  constexpr std::uint8_t kRestarts = 40;
  FakeDaemon daemon([&](Conversation& talk) {
    Page page;
    page.Set(kFirst, 1005);
    talk.Greet(WelcomeWithPage(1), {page.fd()});
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5, kFirst);
    Conversation now = std::move(talk);
    for (std::uint8_t i = 1; i <= kRestarts; ++i) {
      now.HangUp();
      now = now.Next();
      page = Page(i % 4 == 0 ? kWords * 8 : 2 * kWords * 8);
      page.Set(kFirst, 1005);
      ComeBack(now, WelcomeWithPage(static_cast<std::uint8_t>(i + 1)), {page.fd()});
    }
    now.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = OpenOne(client);
  std::atomic<bool> stop = false;
  std::thread reader([&] {
    std::uint64_t reads = 0;
    while (!stop) reads += hlbuf_buffer_is_current(buffer) ? 1 : 0;
    EXPECT_GT(reads, 0U);
  });
  for (int i = 0; i < kRestarts; ++i) EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  stop = true;
  reader.join();
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

}  // namespace
}  // namespace hlbuf::testing
