// SPDX-License-Identifier: Apache-2.0
// What each request puts on the wire, and what its answers become.
#include <fcntl.h>
#include <sys/stat.h>

#include <array>

#include "client/src/fake_daemon.h"

namespace hlbuf::testing {
namespace {

using namespace std::string_view_literals;

class Requests : public ClientTest {};

TEST_F(Requests, AllocateSendsNameDeviceAndLabelsAndLeasesTheAnswer) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    const Request request = talk.Expect(HLBUF_WIRE_ALLOCATE);
    const auto fixed = request.As<hlbuf_wire_allocate>();
    EXPECT_EQ(fixed.size_bytes, 5000U);
    EXPECT_EQ(fixed.name_bytes, 7U);
    EXPECT_EQ(fixed.device_bytes, 6U);
    EXPECT_EQ(fixed.label_bytes, 7U);
    EXPECT_EQ(request.trailing(), "weightsaccel0a=1\0b=2"sv);
    const UniqueFd memory = SomeMemory();
    talk.Send(MakeFrame(HLBUF_WIRE_ALLOCATED, request.cookie(),
                        hlbuf_wire_allocated{
                            .buffer_id = 7, .lease_id = 8, .size_bytes = 8192, .epoch = 3}),
              {memory.get()});
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), std::vector<std::uint64_t>{8});
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  const std::array<const char*, 2> labels = {"a=1", "b=2"};
  const hlbuf_allocate_options options = {.struct_bytes = sizeof(options),
                                          .size_bytes = 5000,
                                          .name = "weights",
                                          .device = "accel0",
                                          .labels = labels.data(),
                                          .label_count = labels.size()};
  hlbuf_buffer* buffer = nullptr;
  ASSERT_EQ(hlbuf_allocate(client, &options, &buffer, &error_), HLBUF_OK) << error_.text;
  EXPECT_EQ(hlbuf_buffer_id(buffer), 7U);
  EXPECT_EQ(hlbuf_buffer_lease_id(buffer), 8U);
  EXPECT_EQ(hlbuf_buffer_size_bytes(buffer), 8192U);
  EXPECT_EQ(hlbuf_buffer_epoch(buffer), 3U);
  EXPECT_FALSE(hlbuf_buffer_is_revoked(buffer));
  EXPECT_EQ(::fcntl(hlbuf_buffer_fd(buffer), F_GETFD), FD_CLOEXEC);
  hlbuf_buffer_release(buffer);
  hlbuf_client_close(client);
}

TEST_F(Requests, AllocateWaitsForItsDeviceALittleLessThanTheCallMay) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    for (const std::uint32_t wait_ms : {0U, 18'750U, 750U, UINT32_MAX}) {
      const Request request = talk.Expect(HLBUF_WIRE_ALLOCATE);
      EXPECT_EQ(request.As<hlbuf_wire_allocate>().wait_ms, wait_ms);
      talk.Refuse(request, HLBUF_WIRE_DEVICE_UNAVAILABLE, "away");
    }
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = nullptr;
  hlbuf_allocate_options options = {};
  options.struct_bytes = sizeof(options);
  options.size_bytes = 1;
  hlbuf_client_set_timeout(client, 20'000);
  EXPECT_EQ(hlbuf_allocate(client, &options, &buffer, &error_), HLBUF_E_DEVICE_UNAVAILABLE);
  options.wait_for_device = 1;
  for (const std::int32_t timeout_ms : {20'000, 800, -1}) {
    hlbuf_client_set_timeout(client, timeout_ms);
    EXPECT_EQ(hlbuf_allocate(client, &options, &buffer, &error_), HLBUF_E_DEVICE_UNAVAILABLE);
  }
  hlbuf_client_close(client);
}

TEST_F(Requests, RefusesHereWhatAFrameCannotSay) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = nullptr;
  const std::string long_name(64, 'n');
  const std::string half(200, 'l');
  const std::array<const char*, 9> labels = {half.c_str(), half.c_str(), "", "", "",
                                             "",           "",           "", ""};
  hlbuf_allocate_options options = {};
  options.struct_bytes = sizeof(options);
  options.name = long_name.c_str();
  EXPECT_EQ(hlbuf_allocate(client, &options, &buffer, &error_), HLBUF_E_INVALID_ARGUMENT);
  options.name = "";
  EXPECT_EQ(hlbuf_allocate(client, &options, &buffer, &error_), HLBUF_E_INVALID_ARGUMENT);
  options.name = nullptr;
  options.device = long_name.c_str();
  EXPECT_EQ(hlbuf_allocate(client, &options, &buffer, &error_), HLBUF_E_INVALID_ARGUMENT);
  options.device = nullptr;
  options.labels = labels.data();
  for (const std::size_t count : {std::size_t{2}, std::size_t{3}, labels.size()}) {
    options.label_count = count;
    EXPECT_EQ(hlbuf_allocate(client, &options, &buffer, &error_), HLBUF_E_INVALID_ARGUMENT);
  }
  options.label_count = 0;
  options.reserved = 1;
  EXPECT_EQ(hlbuf_allocate(client, &options, &buffer, &error_), HLBUF_E_INVALID_ARGUMENT);
  options.reserved = 0;
  options.wait_for_device = 2;
  EXPECT_EQ(hlbuf_allocate(client, &options, &buffer, &error_), HLBUF_E_INVALID_ARGUMENT);
  EXPECT_EQ(hlbuf_open_id(client, 0, &buffer, &error_), HLBUF_E_INVALID_ARGUMENT);
  EXPECT_EQ(hlbuf_open_name(client, "", 0, &buffer, &error_), HLBUF_E_INVALID_ARGUMENT);
  EXPECT_EQ(hlbuf_open_name(client, nullptr, 0, &buffer, &error_), HLBUF_E_INVALID_ARGUMENT);
  const hlbuf_open_item both = {.buffer_id = 1, .name = "n", .owner_uid = 0, .reserved = 0};
  hlbuf_open_result result = {};
  EXPECT_EQ(hlbuf_open_many(client, &both, 1, &result, &error_), HLBUF_E_INVALID_ARGUMENT);
  EXPECT_EQ(hlbuf_open_many(client, &both, 0, &result, &error_), HLBUF_E_INVALID_ARGUMENT);
  EXPECT_EQ(buffer, nullptr);
  hlbuf_client_close(client);
}

TEST_F(Requests, ABatchThatIsTooLargeLeavesNoBufferInItsResults) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  const std::vector<hlbuf_open_item> items(HLBUF_OPEN_MAX + 1);
  std::vector<hlbuf_open_result> results(items.size());
  for (hlbuf_open_result& result : results)
    result.buffer = reinterpret_cast<hlbuf_buffer*>(1);  // what the program had there
  EXPECT_EQ(hlbuf_open_many(client, items.data(), items.size(), results.data(), &error_),
            HLBUF_E_INVALID_ARGUMENT);
  for (const hlbuf_open_result& result : results) EXPECT_EQ(result.buffer, nullptr);
  hlbuf_client_close(client);
}

TEST_F(Requests, OpenByNameNamesTheOwner) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    hlbuf_wire_open_item item;
    std::memcpy(&item, open.trailing().data(), sizeof(item));
    EXPECT_EQ(item.buffer_id, 0U);
    EXPECT_EQ(item.owner_uid, 1234U);
    EXPECT_EQ(open.trailing().substr(sizeof(item)), "weights");
    talk.Grant(open, 1);
    talk.Expect(HLBUF_WIRE_RELEASE);
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = nullptr;
  ASSERT_EQ(hlbuf_open_name(client, "weights", 1234, &buffer, &error_), HLBUF_OK) << error_.text;
  hlbuf_buffer_release(buffer);
  hlbuf_client_close(client);
}

// Status OK for even items; the n-th granted one has a memory of n + 1 pages.
void AnswerEverySecond(Conversation& talk, const Request& open) {
  const std::size_t count = open.As<hlbuf_wire_open>().item_count;
  const std::string reason = "no such buffer";
  std::vector<hlbuf_wire_opened_item> items(count);
  std::vector<UniqueFd> owned;
  std::vector<int> fds;
  for (std::size_t i = 0; i < count; ++i) {
    if (i % 2 == 1) {
      items[i] = {.status = HLBUF_WIRE_NOT_FOUND,
                  .text_bytes = static_cast<std::uint16_t>(reason.size())};
      continue;
    }
    owned.push_back(SomeMemory());
    EXPECT_EQ(::ftruncate(owned.back().get(), static_cast<off_t>(owned.size() * 4096)), 0);
    fds.push_back(owned.back().get());
    items[i] = {.buffer_id = i + 1, .lease_id = i + 1, .size_bytes = owned.size() * 4096};
  }
  const hlbuf_wire_opened fixed = {.item_count = static_cast<std::uint16_t>(count),
                                   .item_bytes = sizeof(items[0]),
                                   .fd_count = static_cast<std::uint16_t>(fds.size())};
  std::string trailing(reinterpret_cast<const char*>(items.data()), count * sizeof(items[0]));
  talk.Send(MakeFrame(HLBUF_WIRE_OPENED, open.cookie(), fixed, trailing + reason), fds);
}

TEST_F(Requests, OpenManyMatchesDescriptorsToItems) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    EXPECT_EQ(open.As<hlbuf_wire_open>().item_count, HLBUF_WIRE_BATCH_MAX);
    EXPECT_EQ(open.trailing().size(), 253 * (sizeof(hlbuf_wire_open_item) + 63));
    AnswerEverySecond(talk, open);
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases().size(), 127U);
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  const std::string name(63, 'n');
  const std::vector<hlbuf_open_item> items(
      253, {.buffer_id = 0, .name = name.c_str(), .owner_uid = HLBUF_OWNER_SELF, .reserved = 0});
  std::vector<hlbuf_open_result> results(items.size());
  ASSERT_EQ(hlbuf_open_many(client, items.data(), items.size(), results.data(), &error_), HLBUF_OK)
      << error_.text;
  std::vector<hlbuf_buffer*> buffers;
  for (std::size_t i = 0; i < results.size(); ++i) {
    buffers.push_back(results[i].buffer);
    if (i % 2 == 1) {
      EXPECT_EQ(results[i].buffer, nullptr);
      EXPECT_EQ(results[i].error.code, HLBUF_E_NOT_FOUND);
      EXPECT_STREQ(results[i].error.text, "no such buffer");
      continue;
    }
    ASSERT_NE(results[i].buffer, nullptr);
    struct stat status = {};
    ASSERT_EQ(::fstat(hlbuf_buffer_fd(results[i].buffer), &status), 0);
    EXPECT_EQ(static_cast<std::uint64_t>(status.st_size),
              hlbuf_buffer_size_bytes(results[i].buffer));
  }
  hlbuf_buffers_release(buffers.data(), buffers.size());
  hlbuf_client_close(client);
}

TEST_F(Requests, ReportRefusalsInTheDaemonsWords) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Refuse(talk.Receive(), HLBUF_WIRE_QUOTA_EXCEEDED, "64 leases\nare enough");
    talk.Refuse(talk.Receive(), 55, std::string(250, 'x') + "\xc3\xa4rgerlich");
    talk.Refuse(talk.Receive(), HLBUF_WIRE_GONE, "");
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = nullptr;
  EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, &error_), HLBUF_E_QUOTA_EXCEEDED);
  EXPECT_STREQ(error_.text, "64 leases?are enough");
  EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, &error_), 55);
  EXPECT_EQ(error_.text, std::string(250, 'x'));  // no half of a character
  EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, nullptr), HLBUF_E_GONE);
  hlbuf_client_close(client);
}

TEST_F(Requests, ShareAndUnshareNameTheGrantee) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    for (const std::uint16_t opcode : {HLBUF_WIRE_SHARE, HLBUF_WIRE_UNSHARE}) {
      const Request request = talk.Expect(opcode);
      const auto fixed = request.As<hlbuf_wire_share>();
      EXPECT_EQ(fixed.buffer_id, 5U);
      EXPECT_EQ(fixed.grantee_kind, HLBUF_WIRE_GRANTEE_GID);
      EXPECT_EQ(fixed.grantee, 100U);
      talk.Send(MakeFrame(opcode | HLBUF_WIRE_REPLY, request.cookie(), hlbuf_wire_header{}));
    }
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  EXPECT_EQ(hlbuf_share(client, 5, HLBUF_GRANTEE_GID, 100, &error_), HLBUF_OK) << error_.text;
  EXPECT_EQ(hlbuf_unshare(client, 5, HLBUF_GRANTEE_GID, 100, &error_), HLBUF_OK) << error_.text;
  hlbuf_client_close(client);
}

TEST_F(Requests, ShareAndUnshareRefuseAGranteeOfNoKindAndTheSessionLives) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    const Request request = talk.Expect(HLBUF_WIRE_SHARE);
    EXPECT_EQ(request.As<hlbuf_wire_share>().grantee, 100U);
    talk.Send(
        MakeFrame(HLBUF_WIRE_SHARE | HLBUF_WIRE_REPLY, request.cookie(), hlbuf_wire_header{}));
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  for (const auto kind : {0, 3}) {
    const auto none = static_cast<hlbuf_grantee_kind>(kind);
    EXPECT_EQ(hlbuf_share(client, 5, none, 100, &error_), HLBUF_E_INVALID_ARGUMENT);
    EXPECT_EQ(hlbuf_unshare(client, 5, none, 100, &error_), HLBUF_E_INVALID_ARGUMENT);
    EXPECT_NE(std::string(error_.text).find("kind"), std::string::npos) << error_.text;
  }
  EXPECT_EQ(hlbuf_share(client, 5, HLBUF_GRANTEE_UID, 100, &error_), HLBUF_OK) << error_.text;
  hlbuf_client_close(client);
}

TEST_F(Requests, DevicesFillsWhatThereIsRoomFor) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    std::array<hlbuf_wire_device_item, 2> items = {{{.epoch = 1,
                                                     .total_bytes = 100,
                                                     .used_bytes = 50,
                                                     .page_bytes = 4096,
                                                     .state = HLBUF_WIRE_DEVICE_READY,
                                                     .flags = HLBUF_WIRE_DEVICE_DEFAULT,
                                                     .name_offset = 0,
                                                     .name_bytes = 3,
                                                     .kind_bytes = 8},
                                                    {.epoch = 9,
                                                     .total_bytes = 0,
                                                     .used_bytes = 0,
                                                     .page_bytes = 4096,
                                                     .state = HLBUF_WIRE_DEVICE_FAILED,
                                                     .flags = 0,
                                                     .name_offset = 11,
                                                     .name_bytes = 2,
                                                     .kind_bytes = 7}}};
    std::string trailing(reinterpret_cast<const char*>(items.data()), sizeof(items));
    trailing += "swasoftware";
    trailing += "u0udmabuf";
    for (int i = 0; i < 2; ++i) {
      const Request request = talk.Expect(HLBUF_WIRE_DEVICES);
      talk.Send(MakeFrame(HLBUF_WIRE_DEVICE_LIST, request.cookie(),
                          hlbuf_wire_device_list{.item_count = 2, .item_bytes = sizeof(items[0])},
                          trailing));
    }
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  std::array<hlbuf_device, 2> devices = {};
  std::size_t count = 0;
  ASSERT_EQ(hlbuf_devices(client, devices.data(), 1, &count, &error_), HLBUF_OK) << error_.text;
  EXPECT_EQ(count, 2U);
  EXPECT_STREQ(devices[0].name, "swa");
  EXPECT_STREQ(devices[0].kind, "software");
  EXPECT_STREQ(devices[1].name, "");
  ASSERT_EQ(hlbuf_devices(client, devices.data(), 2, &count, &error_), HLBUF_OK) << error_.text;
  EXPECT_STREQ(devices[1].name, "u0");
  EXPECT_STREQ(devices[1].kind, "udmabuf");
  EXPECT_EQ(devices[1].state, static_cast<std::uint32_t>(HLBUF_DEVICE_FAILED));
  EXPECT_EQ(devices[1].epoch, 9U);
  hlbuf_client_close(client);
}

TEST_F(Requests, ADescriptorThatWasTakenIsTheProgramsToClose) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    talk.Expect(HLBUF_WIRE_RELEASE);
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = nullptr;
  ASSERT_EQ(hlbuf_open_id(client, 1, &buffer, &error_), HLBUF_OK);
  const UniqueFd taken(hlbuf_buffer_take_fd(buffer));
  EXPECT_EQ(hlbuf_buffer_fd(buffer), -1);
  hlbuf_buffer_release(buffer);
  EXPECT_EQ(::fcntl(taken.get(), F_GETFD), FD_CLOEXEC);
  hlbuf_client_close(client);
}

TEST_F(Requests, BuffersMayOutliveTheirClient) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = nullptr;
  ASSERT_EQ(hlbuf_open_id(client, 1, &buffer, &error_), HLBUF_OK);
  hlbuf_client_close(client);
  EXPECT_EQ(hlbuf_buffer_fd(buffer), -1);
  EXPECT_TRUE(hlbuf_buffer_is_revoked(buffer));
  EXPECT_EQ(hlbuf_buffer_id(buffer), 1001U);
  hlbuf_buffer_release(buffer);
}

}  // namespace
}  // namespace hlbuf::testing
