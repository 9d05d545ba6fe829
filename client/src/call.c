/* SPDX-License-Identifier: Apache-2.0 */
#include "client/src/call.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
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
  free(call->promised);
  call->promised = NULL;
  call->code = code;
  call->done = true;
  pthread_cond_signal(&call->wake);
}

void hlbuf_calls_unsend(hlbuf_client* client) {
  for (struct hlbuf_call* call = client->calls; call != NULL; call = call->next) {
    call->sent = false;
    call->delayed = true;
  }
}

void hlbuf_calls_wake(hlbuf_client* client) {
  for (struct hlbuf_call* call = client->calls; call != NULL; call = call->next)
    pthread_cond_signal(&call->wake);
}

void hlbuf_call_hand_over(hlbuf_client* client) {
  if (client->reading) return;
  struct hlbuf_call* call = client->calls;
  while (call != NULL && !call->waiting) call = call->next;
  if (call != NULL) pthread_cond_signal(&call->wake);
}

static void start(hlbuf_client* client, struct hlbuf_call* call, void* frame, size_t frame_bytes) {
  call->done = false;
  call->sent = false;
  call->delayed = call->has_begun || !hlbuf_is_up(client);
  call->frame = frame;
  call->frame_bytes = frame_bytes;
  call->promised = NULL;
  call->waiting = false;
  call->next = NULL;
  call->timeout_ms = client->timeout_ms;
  if (!call->has_begun) call->deadline = hlbuf_deadline(call->timeout_ms);
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
 * be taken does not take ours. No signal reaches poll(): hence it is short, so that this thread
 * reads when whoever did has left. */
static void wait_for_room(hlbuf_client* client, struct hlbuf_call* call) {
  call->delayed = true;
  if (!client->reading) {
    hlbuf_read(client, HLBUF_WAIT_ROOM, call->deadline);
    return;
  }
  const int64_t soon = hlbuf_now() + HLBUF_SEND_PAUSE_NS;
  pthread_mutex_unlock(&client->lock);
  struct pollfd p = {.fd = client->socket, .events = POLLOUT};
  (void)hlbuf_poll_until(&p, 1, soon < call->deadline ? soon : call->deadline);
  pthread_mutex_lock(&client->lock);
}

/* The kernel has no memory for a packet. */
static void wait_for_memory(hlbuf_client* client, struct hlbuf_call* call) {
  call->delayed = true;
  const int64_t soon = client->memory_retry_at;
  const int64_t until = soon < call->deadline ? soon : call->deadline;
  if (client->reading)
    hlbuf_wait_until(client, &call->wake, until);
  else
    hlbuf_read(client, HLBUF_WAIT_POLL, until);
}

static void give_up_if_late(hlbuf_client* client, struct hlbuf_call* call) {
  if (call->done || call->deadline == HLBUF_NEVER || hlbuf_now() < call->deadline) return;
  hlbuf_repeat_leave(client, call);
  const char* what = !hlbuf_is_up(client) ? "the service is away, and did not come back"
                     : call->sent         ? "the daemon did not answer"
                                          : "the request could not be sent";
  hlbuf_call_finish(client, call,
                    hlbuf_fail(call->error, HLBUF_E_TIMED_OUT,
                               "%s within %d ms; if it still grants what was asked for, that is "
                               "given back",
                               what, call->timeout_ms));
}

static void fail_to_send(hlbuf_client* client, struct hlbuf_call* call, int number) {
  if (number == EPIPE || number == ECONNRESET || number == ENOTCONN) {
    hlbuf_session_break(client);
    call->sent = true;
    return;
  }
  hlbuf_repeat_leave(client, call);
  hlbuf_call_finish(client, call, hlbuf_fail_system(call->error, "send", number));
}

/* Until the request is on its way, or the connection is lost: then the reader finds out why. */
static void send_request(hlbuf_client* client, struct hlbuf_call* call) {
  while (!call->done && !call->sent && hlbuf_is_up(client)) {
    hlbuf_outbox_flush(client);
    switch (hlbuf_send(client, call->frame, call->frame_bytes)) {
      case HLBUF_SENT:
        call->sent = true;
        break;
      case HLBUF_SENT_LATER:
        if (client->memory_retry_at != 0)
          wait_for_memory(client, call);
        else
          wait_for_room(client, call);
        give_up_if_late(client, call);
        break;
      case HLBUF_SENT_NEVER:
        fail_to_send(client, call, errno);
        break;
    }
  }
}

/* The socket's own timeout saves a poll(), but it is good for a whole call only. Whoever is about
 * to read sets it, so that it never changes under a reader. */
static enum hlbuf_wait first_wait(hlbuf_client* client, const struct hlbuf_call* call) {
  if (call->delayed) return HLBUF_WAIT_POLL;
  if (client->socket_timeout_ms != call->timeout_ms) {
    hlbuf_set_socket_timeout(client->socket, SO_RCVTIMEO, call->timeout_ms);
    client->socket_timeout_ms = call->timeout_ms;
  }
  return HLBUF_WAIT_SOCKET;
}

static void await_answer(hlbuf_client* client, struct hlbuf_call* call) {
  if (call->sent && !call->done && !client->reading)
    hlbuf_read(client, first_wait(client, call), call->deadline);
  give_up_if_late(client, call);
  while (!call->done) {
    if (!call->sent && hlbuf_is_up(client)) {
      send_request(client, call);
    } else if (client->reading) {
      call->waiting = true;
      hlbuf_wait_until(client, &call->wake, call->deadline);
      call->waiting = false;
    } else {
      hlbuf_read(client, HLBUF_WAIT_POLL, call->deadline);
    }
    give_up_if_late(client, call);
  }
}

int hlbuf_call(hlbuf_client* client, struct hlbuf_call* call, void* frame, size_t frame_bytes) {
  if (hlbuf_is_forked(client)) return hlbuf_fail_forked(call->error);
  pthread_mutex_lock(&client->lock);
  if (client->gone) {
    call->code = hlbuf_fail_gone(client, call->error);
  } else {
    start(client, call, frame, frame_bytes);
    send_request(client, call);
    await_answer(client, call);
    hlbuf_call_hand_over(client);
  }
  pthread_mutex_unlock(&client->lock);
  return call->code;
}
