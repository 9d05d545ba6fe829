/* SPDX-License-Identifier: Apache-2.0 */
#include "client/src/call.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/src/errors.h"

bool hlbuf_is_forked(const hlbuf_client* client) { return client->pid != getpid(); }

int hlbuf_fail_forked(hlbuf_error* error) {
  return hlbuf_fail(error, HLBUF_E_FORKED,
                    "this handle belongs to the process that forked: the child has to connect for "
                    "itself");
}

struct hlbuf_call* hlbuf_call_find(hlbuf_client* client, uint64_t cookie) {
  struct hlbuf_call* call = client->calls;
  while (call != NULL && call->cookie != cookie) call = call->next;
  return call;
}

void hlbuf_call_finish(hlbuf_client* client, struct hlbuf_call* call, int code) {
  struct hlbuf_call** at = &client->calls;
  while (*at != call) at = &(*at)->next;
  *at = call->next;
  call->code = code;
  call->done = true;
  pthread_cond_signal(&call->wake);
}

void hlbuf_call_hand_over(hlbuf_client* client) {
  if (!client->reading && client->calls != NULL) pthread_cond_signal(&client->calls->wake);
}

static void start(hlbuf_client* client, struct hlbuf_call* call, void* frame) {
  call->done = false;
  call->next = NULL;
  call->wake = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
  call->cookie = ++client->last_cookie;
  struct hlbuf_wire_header header;
  memcpy(&header, frame, sizeof(header));
  header.cookie = call->cookie;
  memcpy(frame, &header, sizeof(header));
  struct hlbuf_call** at = &client->calls;
  while (*at != NULL) at = &(*at)->next;
  *at = call;
  ++client->calls_started;
}

/* The socket is full. Reading goes on meanwhile, because a daemon that waits for its own packets to
 * be taken does not take ours. */
static void wait_for_room(hlbuf_client* client, int64_t deadline) {
  if (!client->reading) {
    hlbuf_read(client, HLBUF_WAIT_ROOM, deadline);
    return;
  }
  pthread_mutex_unlock(&client->lock);
  struct pollfd p = {.fd = client->socket, .events = POLLOUT};
  (void)hlbuf_poll_until(&p, 1, deadline);
  pthread_mutex_lock(&client->lock);
}

static void give_up(hlbuf_client* client, struct hlbuf_call* call) {
  hlbuf_call_finish(
      client, call,
      hlbuf_fail(call->error, HLBUF_E_TIMED_OUT,
                 "the daemon did not answer within %d ms; if it still grants what was "
                 "asked for, that is given back",
                 client->timeout_ms));
}

/* True once the request is on its way, or the connection is lost: then the reader finds out why. */
static bool send_request(hlbuf_client* client, struct hlbuf_call* call, const void* frame,
                         size_t bytes, int64_t deadline) {
  while (!call->done) {
    hlbuf_outbox_flush(client);
    if (send(client->socket, frame, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
    switch (errno) {
      case EINTR:
        break;
      case EAGAIN:
        if (hlbuf_now() >= deadline)
          give_up(client, call);
        else
          wait_for_room(client, deadline);
        break;
      case EPIPE:
      case ECONNRESET:
      case ENOTCONN:
        hlbuf_session_break(client);
        return true;
      default:
        hlbuf_call_finish(client, call, hlbuf_fail_system(call->error, "send", errno));
    }
  }
  return false;
}

static void await_answer(hlbuf_client* client, struct hlbuf_call* call, int64_t deadline) {
  enum hlbuf_wait wait = HLBUF_WAIT_SOCKET;
  while (!call->done) {
    if (client->reading)
      hlbuf_wait_until(client, &call->wake, deadline);
    else
      hlbuf_read(client, wait, deadline);
    /* The socket's timeout is that of a whole call. */
    wait = HLBUF_WAIT_POLL;
    if (!call->done && deadline != HLBUF_NEVER && hlbuf_now() >= deadline) give_up(client, call);
  }
}

int hlbuf_call(hlbuf_client* client, struct hlbuf_call* call, void* frame, size_t frame_bytes) {
  if (hlbuf_is_forked(client)) return hlbuf_fail_forked(call->error);
  pthread_mutex_lock(&client->lock);
  if (client->gone) {
    call->code = hlbuf_fail_gone(client, call->error);
  } else {
    const int64_t deadline = hlbuf_deadline(client->timeout_ms);
    start(client, call, frame);
    if (send_request(client, call, frame, frame_bytes, deadline))
      await_answer(client, call, deadline);
    hlbuf_call_hand_over(client);
  }
  pthread_mutex_unlock(&client->lock);
  return call->code;
}
