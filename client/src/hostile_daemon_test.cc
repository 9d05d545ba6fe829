// SPDX-License-Identifier: Apache-2.0
// A daemon that is broken, or lies: no descriptor leaks, no lease is forgotten, no call hangs.
#include <functional>

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
      [](OneItem& f) { f.opened.item_bytes = 64; },
      [](OneItem& f) { f.opened.fd_count = 0; },
      [](OneItem& f) { f.opened.fd_count = 2; },
      [](OneItem& f) { f.opened.reserved = 1; },
      [](OneItem& f) { f.item.reserved = 1; },
      [](OneItem& f) { f.item.reserved2 = 1; },
      [](OneItem& f) { f.item.reserved3 = 1; },
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

TEST_F(HostileDaemon, APacketThatWasCutToAWholeFrameEndsTheSession) {
  EXPECT_EQ(OpenAgainst([](Conversation& talk, const Request& open) {
              Bytes frame(HLBUF_WIRE_FRAME_BYTES_MAX + 8);
              const hlbuf_wire_error error = {.header = {.frame_bytes = HLBUF_WIRE_FRAME_BYTES_MAX,
                                                         .opcode = HLBUF_WIRE_ERROR,
                                                         .fixed_bytes = sizeof(error),
                                                         .cookie = open.cookie()},
                                              .status = HLBUF_WIRE_GONE,
                                              .text_bytes = 0};
              std::memcpy(frame.data(), &error, sizeof(error));
              talk.Send(frame);
              talk.ExpectEnd();
            }),
            HLBUF_E_BAD_REPLY);
}

TEST_F(HostileDaemon, AnswersForMoreItemsThanWereAskedForEndTheSession) {
  EXPECT_EQ(OpenAgainst([](Conversation& talk, const Request& open) {
              const OneItem one;
              OneItem two;
              two.opened.item_count = two.opened.fd_count = 2;
              const UniqueFd memory = SomeMemory();
              talk.Send(two.Frame(open.cookie(),
                                  {reinterpret_cast<const char*>(&one.item), sizeof(one.item)}),
                        {memory.get(), memory.get()});
              talk.ExpectEnd();
            }),
            HLBUF_E_BAD_REPLY);
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

}  // namespace
}  // namespace hlbuf::testing
