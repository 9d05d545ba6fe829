// SPDX-License-Identifier: Apache-2.0
// A child that forked shares descriptors with its parent and must not spoil them.
#include <sys/wait.h>

#include "client/src/fake_daemon.h"

namespace hlbuf::testing {
namespace {

class Fork : public ClientTest {};

// What the child does with its parent's handles; its exit status is the number of the first thing
// that went wrong.
int LiveAsChild(hlbuf_client* client, hlbuf_buffer* buffer) {
  hlbuf_error error = {};
  hlbuf_buffer* another = nullptr;
  if (hlbuf_open_id(client, 1, &another, &error) != HLBUF_E_FORKED) return 1;
  if (error.code != HLBUF_E_FORKED || error.text[0] == '\0') return 2;
  if (hlbuf_dispatch(client, 0, &error) != HLBUF_E_FORKED) return 3;
  if (hlbuf_client_fd(client, &error) != -1) return 4;
  if (hlbuf_client_start_thread(client, &error) != HLBUF_E_FORKED) return 5;
  hlbuf_client_set_timeout(client, 1);
  const int before = OpenFds();
  hlbuf_buffer_release(buffer);
  if (OpenFds() != before - 1) return 6;
  hlbuf_client_close(client);
  if (OpenFds() != before - 2) return 7;
  return 0;
}

TEST_F(Fork, TheChildIsRefusedAndTheParentGoesOn) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 2);  // nothing of the child's came before it
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), std::vector<std::uint64_t>{1});
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), std::vector<std::uint64_t>{2});
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* first = nullptr;
  hlbuf_buffer* second = nullptr;
  ASSERT_EQ(hlbuf_open_id(client, 1, &first, &error_), HLBUF_OK);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(LiveAsChild(client, first));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_GE(hlbuf_buffer_fd(first), 0);
  EXPECT_EQ(hlbuf_open_id(client, 1, &second, &error_), HLBUF_OK) << error_.text;
  hlbuf_buffer_release(first);
  hlbuf_buffer_release(second);
  hlbuf_client_close(client);
}

}  // namespace
}  // namespace hlbuf::testing
