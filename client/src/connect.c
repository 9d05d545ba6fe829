/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/src/call.h"
#include "client/src/errors.h"
#include "client/src/options.h"

static const char kDefaultPath[] = "/run/hl-bufd/client/buf.sock";

void hlbuf_set_socket_timeout(int socket, int option, int32_t timeout_ms) {
  const struct timeval timeout = {
      .tv_sec = timeout_ms < 0 ? 0 : timeout_ms / 1000,
      .tv_usec = timeout_ms < 0 ? 0 : (suseconds_t)(timeout_ms % 1000) * 1000};
  (void)setsockopt(socket, SOL_SOCKET, option, &timeout, sizeof(timeout));
}

/* Printable ASCII, cut to what HELLO takes. */
static size_t copy_client_name(char* into, const char* name) {
  size_t n = 0;
  for (; name[n] != '\0' && n < HLBUF_WIRE_NAME_BYTES_MAX; ++n)
    into[n] = name[n] >= 0x20 && name[n] < 0x7f ? name[n] : '?';
  return n;
}

static hlbuf_client* new_client(const hlbuf_connect_options* options, hlbuf_error* error) {
  hlbuf_client* client = calloc(1, sizeof(*client));
  if (client == NULL || !hlbuf_leases_init(&client->leases)) {
    free(client);
    hlbuf_fail(error, HLBUF_E_OUT_OF_MEMORY, "no memory for a session");
    return NULL;
  }
  client->pid = getpid();
  client->references = 1;
  client->socket_timeout_ms = -1;
  client->callbacks = options->callbacks;
  client->socket = -1;
  client->wake_fd = -1;
  client->poll_fd = -1;
  client->notices.service = client->notices.service_told = HLBUF_SERVICE_BACK;
  client->reconnect.timer_fd = -1;
  client->reconnect.timer_at = HLBUF_NEVER;
  client->reconnect.timeout_ms = hlbuf_normal_reconnect_timeout(options->reconnect_timeout_ms);
  client->reconnect.name_bytes = copy_client_name(
      client->reconnect.name,
      options->client_name != NULL ? options->client_name : program_invocation_short_name);
  pthread_mutex_init(&client->lock, NULL);
  pthread_cond_init(&client->noticed, NULL);
  return client;
}

static int fail_connect(hlbuf_error* error, const char* path, int number) {
  const char* why = "";
  if (number == EAGAIN)
    return hlbuf_fail(error, HLBUF_E_TIMED_OUT,
                      "%s: the service did not take the connection in time", path);
  if (number == EACCES || number == EPERM)
    why = "; is this user in the group of the socket (hl-bufd-clients)?";
  if (number == ENOENT || number == ECONNREFUSED)
    why = "; is the service running, and is this its socket (HLBUF_SOCKET)?";
  if (number == EPROTOTYPE) why = "; this is another kind of socket";
  char text[96];
  return hlbuf_fail(error, HLBUF_E_CANNOT_CONNECT, "%s: %s%s", path,
                    strerror_r(number, text, sizeof(text)), why);
}

/* Waits for room in the listener's queue until the deadline. False with errno; EAGAIN: too late. */
static bool connect_until(int socket, const struct sockaddr_un* address, int64_t deadline) {
  do {
    hlbuf_set_socket_timeout(socket, SO_SNDTIMEO, hlbuf_left_ms(deadline));
    if (connect(socket, (const struct sockaddr*)address, sizeof(*address)) == 0) return true;
    if (errno != EINTR) return false;
  } while (deadline == HLBUF_NEVER || hlbuf_now() < deadline);
  errno = EAGAIN;
  return false;
}

static int open_connection(hlbuf_client* client, const char* path, int64_t deadline,
                           hlbuf_error* error) {
  struct sockaddr_un* address = &client->reconnect.address;
  const size_t bytes = strlen(path);
  if (bytes == 0 || bytes >= sizeof(address->sun_path))
    return hlbuf_fail(error, HLBUF_E_INVALID_ARGUMENT,
                      "socket_path: the path of a socket has 1 to %zu bytes",
                      sizeof(address->sun_path) - 1);
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path, path, bytes + 1);
  client->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (client->socket < 0) return hlbuf_fail_system(error, "socket", errno);
  if (!connect_until(client->socket, address, deadline)) return fail_connect(error, path, errno);
  return HLBUF_OK;
}

/* What it had before secrets. */
enum { WELCOME_BYTES_MIN = offsetof(struct hlbuf_wire_welcome, secret) };

static enum hlbuf_took take_welcome(struct hlbuf_call* call, hlbuf_client* client) {
  struct hlbuf_wire_welcome frame;
  if (!hlbuf_packet_grown(&client->packet, &frame, sizeof(frame), WELCOME_BYTES_MIN) ||
      frame.version != HLBUF_WIRE_VERSION || frame.batch_max == 0)
    return HLBUF_TOOK_BREACH;
  client->session_id = frame.session_id;
  if (!hlbuf_epoch_page_take(client, &frame)) return HLBUF_TOOK_BREACH;
  hlbuf_welcome_take(client, &frame);
  client->reconnect.up_since = hlbuf_now();
  call->code = hlbuf_succeed(call->error);
  return HLBUF_TOOK;
}

static int say_hello(hlbuf_client* client, int64_t deadline, hlbuf_error* error) {
  const struct hlbuf_reconnect* r = &client->reconnect;
  struct {
    struct hlbuf_wire_hello fixed;
    char name[HLBUF_WIRE_NAME_BYTES_MAX + 1];
  } frame = {.fixed = {.version = HLBUF_WIRE_VERSION,
                       .client_bytes = (uint32_t)r->name_bytes,
                       .features = HLBUF_WIRE_FEATURE_EPOCH_PAGE}};
  if (r->timeout_ms != 0) frame.fixed.features |= HLBUF_WIRE_FEATURE_REATTACH;
  memcpy(frame.name, r->name, r->name_bytes);
  const size_t bytes = sizeof(frame.fixed) + r->name_bytes;
  frame.fixed.header = (struct hlbuf_wire_header){.frame_bytes = (uint32_t)bytes,
                                                  .opcode = HLBUF_WIRE_HELLO,
                                                  .fixed_bytes = sizeof(frame.fixed)};
  struct hlbuf_call call = {.reply = HLBUF_WIRE_WELCOME,
                            .take = take_welcome,
                            .error = error,
                            .has_begun = true,
                            .deadline = deadline};
  const int code = hlbuf_call(client, &call, &frame, bytes);
  if (code != HLBUF_E_SERVICE_GONE || client->goodbye_reason != HLBUF_GOODBYE_QUOTA) return code;
  return hlbuf_fail(error, HLBUF_E_QUOTA_EXCEEDED, "%s", client->goodbye_text);
}

/* The service died, or began to restart, while this client said hello. */
static bool met_restart(const hlbuf_client* client, int code) {
  return code == HLBUF_E_SERVICE_GONE && client->reconnect.timeout_ms != 0 &&
         (client->goodbye_reason == HLBUF_GOODBYE_CONNECTION_LOST ||
          (client->goodbye_reason == HLBUF_GOODBYE_SHUTDOWN && client->goodbye_leases_kept == 1));
}

/* NULL with *ret_code. */
static hlbuf_client* begin_session(const hlbuf_connect_options* options, int64_t deadline,
                                   int* ret_code, bool* ret_again, hlbuf_error* error) {
  *ret_again = false;
  *ret_code = HLBUF_E_OUT_OF_MEMORY;
  hlbuf_client* client = new_client(options, error);
  if (client == NULL) return NULL;
  hlbuf_client_set_timeout(client, options->timeout_ms);
  int code = open_connection(client, options->socket_path, deadline, error);
  if (code == HLBUF_OK) code = say_hello(client, deadline, error);
  *ret_code = code;
  if (code == HLBUF_OK) return client;
  *ret_again = met_restart(client, code);
  hlbuf_client_close(client);
  return NULL;
}

int hlbuf_connect(const hlbuf_connect_options* options, hlbuf_client** ret_client,
                  hlbuf_error* error) {
  enum { TRIES = 4 };
  hlbuf_connect_options own = {0};
  if (options != NULL) {
    const int code = hlbuf_copy_options(&own, sizeof(own), options, error);
    if (code != HLBUF_OK) return code;
  }
  if (own.reconnect_timeout_ms < -1 && own.reconnect_timeout_ms != HLBUF_NO_RECONNECT)
    return hlbuf_fail(error, HLBUF_E_INVALID_ARGUMENT,
                      "options: reconnect_timeout_ms is %d; it is -1, HLBUF_NO_RECONNECT, 0, or "
                      "more",
                      own.reconnect_timeout_ms);
  /* secure: a set-user-id program is not to be led to another socket. */
  if (own.socket_path == NULL) own.socket_path = secure_getenv("HLBUF_SOCKET");
  if (own.socket_path == NULL) own.socket_path = kDefaultPath;
  const int64_t deadline = hlbuf_deadline(hlbuf_normal_timeout(own.timeout_ms));
  int code = HLBUF_OK;
  bool again = true;
  hlbuf_client* client = NULL;
  for (int i = 0; i < TRIES && again && client == NULL; ++i)
    client = begin_session(&own, deadline, &code, &again, error);
  if (client != NULL) *ret_client = client;
  return code;
}

void hlbuf_client_set_timeout(hlbuf_client* client, int32_t timeout_ms) {
  if (hlbuf_is_forked(client)) return;
  pthread_mutex_lock(&client->lock);
  client->timeout_ms = hlbuf_normal_timeout(timeout_ms);
  pthread_mutex_unlock(&client->lock);
}

uint64_t hlbuf_client_session_id(const hlbuf_client* client) { return client->session_id; }
