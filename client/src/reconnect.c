/* SPDX-License-Identifier: Apache-2.0 */
#include "client/src/reconnect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/src/call.h"
#include "client/src/errors.h"

enum { FIRST_PAUSE_NS = 10 * 1000 * 1000, LONGEST_PAUSE_NS = 1000 * 1000 * 1000 };

static void set_service(hlbuf_client* client, uint32_t state) {
  client->notices.service = state;
  hlbuf_notices_announce(client);
}

/* A new file under the number of the old one, so that who polls the number need not be told; the
 * old file is closed by that. */
static bool renew_socket(hlbuf_client* client) {
  hlbuf_poll_drop_socket(client);
  const int fresh = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fresh < 0) return false;
  const bool renewed = dup3(fresh, client->socket, O_CLOEXEC) >= 0;
  const int number = errno;
  close(fresh);
  errno = number;
  client->socket_timeout_ms = -1;
  return renewed;
}

static void try_later(struct hlbuf_reconnect* r, int number) {
  r->last_errno = number;
  r->next_try = hlbuf_now() + r->pause_ns;
  r->pause_ns = r->pause_ns * 2 < LONGEST_PAUSE_NS ? r->pause_ns * 2 : LONGEST_PAUSE_NS;
}

/* The first try comes at once, unless the last connection was lost as soon as it was made. */
static void go_down(hlbuf_client* client) {
  struct hlbuf_reconnect* r = &client->reconnect;
  const int64_t now = hlbuf_now();
  r->give_up = hlbuf_deadline(r->timeout_ms);
  r->last_errno = 0;
  r->pause_ns = FIRST_PAUSE_NS;
  r->next_try = now - r->up_since < LONGEST_PAUSE_NS ? now + FIRST_PAUSE_NS : now;
  set_service(client, HLBUF_SERVICE_AWAY);
}

void hlbuf_connection_lost(hlbuf_client* client) {
  struct hlbuf_reconnect* r = &client->reconnect;
  if (!r->has_secret || r->timeout_ms == 0) {
    hlbuf_session_end(
        client, HLBUF_GOODBYE_CONNECTION_LOST, r->kept,
        "the daemon closed the connection without a GOODBYE: it has died, or it ended "
        "this session by force");
    return;
  }
  if (r->link == HLBUF_LINK_UP)
    go_down(client);
  else
    try_later(r, 0);
  r->link = HLBUF_LINK_DOWN;
  r->kept = false;
  hlbuf_calls_unsend(client);
  /* What is not named by REATTACH is over. */
  hlbuf_outbox_clear(&client->outbox);
  hlbuf_repeats_forget(client);
  hlbuf_reattach_forget(client);
  (void)renew_socket(client);
  hlbuf_poll_update(client);
}

bool hlbuf_reconnect_give_up(hlbuf_client* client) {
  struct hlbuf_reconnect* r = &client->reconnect;
  if (r->give_up == HLBUF_NEVER || hlbuf_now() < r->give_up) return false;
  char meaning[96], words[HLBUF_ERROR_TEXT_BYTES];
  const char* why = r->link == HLBUF_LINK_REATTACHING ? "it does not answer"
                    : r->last_errno == 0              ? "it takes connections and drops them"
                                         : strerror_r(r->last_errno, meaning, sizeof(meaning));
  (void)snprintf(words, sizeof(words), "the service did not come back within %d ms: %s",
                 r->timeout_ms, why);
  hlbuf_session_end(client, HLBUF_GOODBYE_CONNECTION_LOST, 0, words);
  return true;
}

/* 0, or errno. Never waits: a full backlog is EAGAIN. */
static int connect_now(hlbuf_client* client) {
  const struct sockaddr_un* address = &client->reconnect.address;
  if (fcntl(client->socket, F_SETFL, O_NONBLOCK) != 0) return errno;
  if (connect(client->socket, (const struct sockaddr*)address, sizeof(*address)) != 0) return errno;
  /* Reading waits by the socket's own timeout. */
  return fcntl(client->socket, F_SETFL, 0) == 0 ? 0 : errno;
}

static void try_now(hlbuf_client* client) {
  struct hlbuf_reconnect* r = &client->reconnect;
  int number = renew_socket(client) ? connect_now(client) : errno;
  if (number == 0 && !hlbuf_reattach_begin(client)) number = ENOMEM;
  if (number != 0) {
    try_later(r, number);
    return;
  }
  r->link = HLBUF_LINK_REATTACHING;
  hlbuf_reattach_send(client);
}

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

bool hlbuf_reconnect(hlbuf_client* client, bool wait, int64_t deadline) {
  struct hlbuf_reconnect* r = &client->reconnect;
  if (wait && hlbuf_now() < r->next_try) {
    client->reading = true;
    hlbuf_wait_until(client, &client->noticed, earlier(deadline, hlbuf_reconnect_next(client)));
    client->reading = false;
  }
  if (hlbuf_now() < r->next_try) return hlbuf_reconnect_give_up(client);
  try_now(client);
  const bool changed = r->link != HLBUF_LINK_DOWN || hlbuf_reconnect_give_up(client);
  hlbuf_poll_update(client);
  /* Who dispatches waits for something else now. */
  if (changed) hlbuf_notices_announce(client);
  return changed;
}

int64_t hlbuf_reconnect_next(const hlbuf_client* client) {
  const struct hlbuf_reconnect* r = &client->reconnect;
  if (r->link == HLBUF_LINK_DOWN) return earlier(r->next_try, r->give_up);
  const int64_t send_next = hlbuf_send_next(client);
  return r->link == HLBUF_LINK_UP ? send_next : earlier(send_next, r->give_up);
}

void hlbuf_connection_up(hlbuf_client* client) {
  struct hlbuf_reconnect* r = &client->reconnect;
  r->link = HLBUF_LINK_UP;
  r->up_since = hlbuf_now();
  hlbuf_reattach_forget(client);
  hlbuf_repeats_send(client);
  hlbuf_outbox_flush(client);
  hlbuf_poll_update(client);
  hlbuf_calls_wake(client);
  set_service(client, HLBUF_SERVICE_BACK);
}
