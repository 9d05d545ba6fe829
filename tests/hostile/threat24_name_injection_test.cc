// SPDX-License-Identifier: Apache-2.0
// Names that would be more than names where they are printed. The daemon logs all that it can here.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"

namespace hlbuf {
namespace {

const std::string kNames[] = {"a\nerror: forged",
                              "a\r\x1b[2Jforged",
                              std::string("a\0forged", 8),
                              "a:b",
                              "a b",
                              "\xff\xfe",
                              "a'b",
                              "\xc2\x9b"
                              "31m",
                              std::string(64, 'a'),
                              std::string(10'240, 'a')};

bool Printable(const std::string& text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte >= 0x7f;
  });
}

class NameInjection : public DaemonTest {
 protected:
  NameInjection() { Start({.config = "[log]\nlevel = \"debug\"\n"}); }
  void ExpectRefused(const std::optional<Packet>& answer, const std::string& what) {
    ASSERT_TRUE(answer.has_value()) << "the session goes on after " << what;
    ASSERT_EQ(answer->opcode(), HLBUF_WIRE_ERROR) << what;
    EXPECT_EQ(answer->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_INVALID_ARGUMENT})
        << what;
    EXPECT_TRUE(Printable(answer->text())) << answer->text();
  }
  void TearDown() override {
    std::istringstream log(daemon().Log());
    for (std::string line; std::getline(log, line);) {
      EXPECT_NE(line.rfind("error: forged", 0), 0U) << line;
      EXPECT_TRUE(Printable(line)) << line;
      EXPECT_LT(line.size(), 1000U) << line;
    }
    DaemonTest::TearDown();
  }
};

TEST_F(NameInjection, IntoABufferIsRefused) {
  RawClient client = Greeted();
  for (const std::string& name : kNames) {
    ExpectRefused(client.Ask(AllocateFrame(2, 4096, name)), name);
    const std::optional<Packet> opened = client.Ask(OpenNameFrame(3, name));
    ASSERT_TRUE(opened.has_value());
    const auto item = opened->ItemAt<hlbuf_wire_opened_item>(0);
    EXPECT_EQ(item.status, std::uint32_t{HLBUF_WIRE_INVALID_ARGUMENT}) << name;
    EXPECT_TRUE(Printable(opened->text().substr(sizeof(item)))) << name;
  }
}

TEST_F(NameInjection, IntoADeviceIsRefused) {
  RawClient client = Greeted();
  for (const std::string& name : kNames)
    ExpectRefused(client.Ask(MakeFrame<hlbuf_wire_allocate>(
                      {.size_bytes = 4096, .device_bytes = static_cast<std::uint16_t>(name.size())},
                      HLBUF_WIRE_ALLOCATE, 2, name)),
                  name);
}

TEST_F(NameInjection, IntoALabelIsRefused) {
  RawClient client = Greeted();
  for (const std::string& label :
       {std::string("job=a\nerror: forged"), std::string("a\nerror: forged=1"),
        std::string("job=\x1b[2J"), std::string("job"), std::string("=x"),
        std::string("a=1\0a=2", 7), "a=" + std::string(10'240, 'b'), std::string("a=1\0\0b=2", 8)})
    ExpectRefused(client.Ask(MakeFrame<hlbuf_wire_allocate>(
                      {.size_bytes = 4096, .label_bytes = static_cast<std::uint16_t>(label.size())},
                      HLBUF_WIRE_ALLOCATE, 2, label)),
                  label);
}

TEST_F(NameInjection, IntoTheNameOfAClientIsMadeHarmless) {
  ControlClient control(daemon().control_socket());
  for (const std::string& name : kNames) {
    if (name.size() > HLBUF_WIRE_NAME_BYTES_MAX) continue;  // broken, not merely odd
    RawClient client = RawClient::Connect(daemon().client_socket());
    const std::optional<Packet> welcome = client.Ask(MakeFrame<hlbuf_wire_hello>(
        {.version = HLBUF_WIRE_VERSION, .client_bytes = static_cast<std::uint32_t>(name.size())},
        HLBUF_WIRE_HELLO, 1, name));
    ASSERT_TRUE(welcome.has_value());
    EXPECT_EQ(welcome->opcode(), HLBUF_WIRE_WELCOME);
    for (const SessionSeen& session : control.SessionsOf(::getuid()))
      EXPECT_TRUE(Printable(session.client)) << session.client;
  }
}

}  // namespace
}  // namespace hlbuf
