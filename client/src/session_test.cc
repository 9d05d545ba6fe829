// SPDX-License-Identifier: Apache-2.0
// Connecting, greeting, ending.
#include <sys/socket.h>
#include <sys/un.h>

#include "client/src/fake_daemon.h"

namespace hlbuf::testing {
namespace {

class Session : public ClientTest {
 protected:
  int TryConnect(const std::string& path, std::int32_t timeout_ms = 20000) {
    hlbuf_connect_options options = {};
    options.struct_bytes = sizeof(options);
    options.socket_path = path.c_str();
    options.timeout_ms = timeout_ms;
    hlbuf_client* client = nullptr;
    const int code = hlbuf_connect(&options, &client, &error_);
    EXPECT_EQ(error_.code, code);
    EXPECT_EQ(client == nullptr, code != HLBUF_OK);
    hlbuf_client_close(client);
    return code;
  }
};

TEST_F(Session, SaysHelloWithItsNameAndKnowsItsNumber) {
  FakeDaemon daemon([](Conversation& talk) {
    const Request hello = talk.Expect(HLBUF_WIRE_HELLO);
    EXPECT_EQ(hello.As<hlbuf_wire_hello>().version, 1U);
    EXPECT_EQ(hello.trailing(), "a client?");
    EXPECT_NE(hello.cookie(), 0U);
    talk.Send(MakeFrame(HLBUF_WIRE_WELCOME, hello.cookie(), Conversation::kWelcome));
    talk.ExpectEnd();
  });
  hlbuf_connect_options options = {};
  options.client_name = "a client\n";
  hlbuf_client* client = Connect(daemon, options);
  EXPECT_EQ(hlbuf_client_session_id(client), 42U);
  hlbuf_client_close(client);
}

TEST_F(Session, CutsALongNameOfItself) {
  FakeDaemon daemon([](Conversation& talk) {
    const Request hello = talk.Expect(HLBUF_WIRE_HELLO);
    EXPECT_EQ(hello.trailing(), std::string(63, 'x'));
    talk.Send(MakeFrame(HLBUF_WIRE_WELCOME, hello.cookie(), Conversation::kWelcome));
    talk.ExpectEnd();
  });
  const std::string name(200, 'x');
  hlbuf_connect_options options = {};
  options.client_name = name.c_str();
  hlbuf_client_close(Connect(daemon, options));
}

TEST_F(Session, SaysWhyItCannotConnect) {
  EXPECT_EQ(TryConnect("/nowhere/buf.sock"), HLBUF_E_CANNOT_CONNECT);
  EXPECT_NE(std::string_view(error_.text).find("/nowhere/buf.sock"), std::string_view::npos);
  EXPECT_EQ(TryConnect(std::string(200, 'x')), HLBUF_E_INVALID_ARGUMENT);
  EXPECT_EQ(TryConnect(""), HLBUF_E_INVALID_ARGUMENT);
}

TEST_F(Session, SaysThatItHasNoDescriptorToConnectBy) {
  const NoFreeDescriptors none;
  EXPECT_EQ(TryConnect("/nowhere/buf.sock"), HLBUF_E_NO_DESCRIPTORS);
  EXPECT_STREQ(error_.text, "socket: Too many open files");
}

TEST_F(Session, LooksForTheSocketInTheEnvironment) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.ExpectEnd();
  });
  ASSERT_EQ(::setenv("HLBUF_SOCKET", daemon.path().c_str(), 1), 0);
  hlbuf_client* client = nullptr;
  EXPECT_EQ(hlbuf_connect(nullptr, &client, &error_), HLBUF_OK) << error_.text;
  ::unsetenv("HLBUF_SOCKET");
  hlbuf_client_close(client);
}

TEST_F(Session, GivesUpOnADaemonThatDoesNotAnswerHello) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Expect(HLBUF_WIRE_HELLO);
    talk.ExpectEnd();
  });
  EXPECT_EQ(TryConnect(daemon.path(), 50), HLBUF_E_TIMED_OUT);
}

TEST_F(Session, GivesUpOnAListenerThatAcceptsNobody) {
  const std::string path = "/tmp/hlbuf-full." + std::to_string(::getpid());
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(listener.get(), 0), 0);
  EXPECT_EQ(TryConnect(path, 50), HLBUF_E_TIMED_OUT);  // in the backlog, never greeted
  EXPECT_EQ(TryConnect(path, 50), HLBUF_E_TIMED_OUT);  // the backlog is full
  ::unlink(path.c_str());
}

TEST_F(Session, ReportsARefusedVersion) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Refuse(talk.Receive(), HLBUF_WIRE_UNIMPLEMENTED, "version 2 is spoken here");
    talk.ExpectEnd();
  });
  EXPECT_EQ(TryConnect(daemon.path()), HLBUF_E_UNIMPLEMENTED);
  EXPECT_STREQ(error_.text, "version 2 is spoken here");
}

TEST_F(Session, ReportsThatThereAreTooManySessions) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Goodbye(HLBUF_WIRE_GOODBYE_QUOTA, "uid 1 has 64 sessions");
    talk.HangUp();
  });
  EXPECT_EQ(TryConnect(daemon.path()), HLBUF_E_QUOTA_EXCEEDED);
  EXPECT_STREQ(error_.text, "uid 1 has 64 sessions");
}

TEST_F(Session, RefusesAWelcomeThatMakesNoSense) {
  hlbuf_wire_welcome welcome = Conversation::kWelcome;
  welcome.version = 2;
  FakeDaemon other_version([&](Conversation& talk) { talk.Greet(welcome), talk.ExpectEnd(); });
  EXPECT_EQ(TryConnect(other_version.path()), HLBUF_E_BAD_REPLY);
  FakeDaemon short_welcome([](Conversation& talk) {
    const Request hello = talk.Expect(HLBUF_WIRE_HELLO);
    talk.Send(MakeFrame(HLBUF_WIRE_WELCOME, hello.cookie(), hlbuf_wire_header{}));
    talk.ExpectEnd();
  });
  EXPECT_EQ(TryConnect(short_welcome.path()), HLBUF_E_BAD_REPLY);
}

TEST_F(Session, TakesALongerWelcomeOfALaterDaemon) {
  FakeDaemon daemon([](Conversation& talk) {
    struct Later {
      hlbuf_wire_welcome known = Conversation::kWelcome;
      std::uint64_t unknown = ~std::uint64_t{0};
    };
    const Request hello = talk.Expect(HLBUF_WIRE_HELLO);
    talk.Send(MakeFrame(HLBUF_WIRE_WELCOME, hello.cookie(), Later{}));
    talk.ExpectEnd();
  });
  EXPECT_EQ(TryConnect(daemon.path()), HLBUF_OK) << error_.text;
}

TEST_F(Session, TakesOptionsOfAnOlderAndOfALaterHeader) {
  struct {
    hlbuf_connect_options known;
    std::uint64_t unknown;
  } later = {};
  later.known.struct_bytes = sizeof(later);
  later.known.socket_path = "/nowhere/buf.sock";
  auto* options = &later.known;
  hlbuf_client* client = nullptr;
  EXPECT_EQ(hlbuf_connect(options, &client, &error_), HLBUF_E_CANNOT_CONNECT);
  later.unknown = 1;
  EXPECT_EQ(hlbuf_connect(options, &client, &error_), HLBUF_E_INVALID_ARGUMENT);
  later.known.struct_bytes = offsetof(hlbuf_connect_options, client_name);
  later.known.client_name = reinterpret_cast<const char*>(1);  // not to be read
  EXPECT_EQ(hlbuf_connect(options, &client, &error_), HLBUF_E_CANNOT_CONNECT);
  later.known.struct_bytes = 0;
  EXPECT_EQ(hlbuf_connect(options, &client, &error_), HLBUF_E_INVALID_ARGUMENT);
}

TEST_F(Session, GivesEveryNumberAName) {
  EXPECT_STREQ(hlbuf_error_name(HLBUF_OK), "OK");
  EXPECT_STREQ(hlbuf_error_name(HLBUF_E_SHUTTING_DOWN), "SHUTTING_DOWN");
  EXPECT_STREQ(hlbuf_error_name(HLBUF_E_SYSTEM), "SYSTEM");
  EXPECT_STREQ(hlbuf_error_name(-1), "UNKNOWN");
  for (int code = HLBUF_OK; code <= HLBUF_E_SHUTTING_DOWN; ++code)
    EXPECT_STRNE(hlbuf_error_name(code), "UNKNOWN") << code;
  for (int code = HLBUF_E_CANNOT_CONNECT; code <= HLBUF_E_SYSTEM; ++code)
    EXPECT_STRNE(hlbuf_error_name(code), "UNKNOWN") << code;
  EXPECT_STREQ(hlbuf_revoke_reason_name(HLBUF_REVOKE_RESET), "RESET");
  EXPECT_STREQ(hlbuf_revoke_reason_name(HLBUF_REVOKE_LOST), "LOST");
  EXPECT_STREQ(hlbuf_goodbye_reason_name(HLBUF_GOODBYE_REATTACH), "REATTACH");
  EXPECT_STREQ(hlbuf_device_state_name(HLBUF_DEVICE_FAILED), "FAILED");
  EXPECT_STREQ(hlbuf_goodbye_reason_name(HLBUF_GOODBYE_BAD_REPLY), "BAD_REPLY");
}

// The numbers of the public header are those of the wire.
static_assert(+HLBUF_E_SHUTTING_DOWN == +HLBUF_WIRE_SHUTTING_DOWN);
static_assert(+HLBUF_E_DEVICE_UNAVAILABLE == +HLBUF_WIRE_DEVICE_UNAVAILABLE);
static_assert(+HLBUF_DEVICE_FAILED == +HLBUF_WIRE_DEVICE_FAILED);
static_assert(+HLBUF_DEVICE_SIMULATED == +HLBUF_WIRE_DEVICE_SIMULATED);
static_assert(+HLBUF_REVOKE_LOST == +HLBUF_WIRE_REVOKE_LOST);
static_assert(+HLBUF_GOODBYE_REATTACH == +HLBUF_WIRE_GOODBYE_REATTACH);
static_assert(+HLBUF_GRANTEE_GID == +HLBUF_WIRE_GRANTEE_GID);
static_assert(+HLBUF_OPEN_MAX == +HLBUF_WIRE_BATCH_MAX);
static_assert(HLBUF_OWNER_SELF == HLBUF_WIRE_OWNER_SELF);
static_assert(sizeof(hlbuf_device::name) == HLBUF_WIRE_DEVICE_BYTES_MAX + 1);

}  // namespace
}  // namespace hlbuf::testing
