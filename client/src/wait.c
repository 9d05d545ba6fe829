/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "client/src/call.h"

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

int64_t hlbuf_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t hlbuf_deadline(int32_t timeout_ms) {
  return timeout_ms < 0 ? HLBUF_NEVER : hlbuf_now() + (int64_t)timeout_ms * NS_PER_MS;
}

int32_t hlbuf_left_ms(int64_t deadline) {
  if (deadline == HLBUF_NEVER) return -1;
  const int64_t left = (deadline - hlbuf_now() + NS_PER_MS - 1) / NS_PER_MS;
  return left < 1 ? 1 : (int32_t)left;
}

static struct timespec as_timespec(int64_t ns) {
  if (ns < 0) ns = 0;
  return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

void hlbuf_wait_until(hlbuf_client* client, pthread_cond_t* condition, int64_t deadline) {
  if (deadline == HLBUF_NEVER) {
    pthread_cond_wait(condition, &client->lock);
    return;
  }
  const struct timespec until = as_timespec(deadline);
  pthread_cond_clockwait(condition, &client->lock, CLOCK_MONOTONIC, &until);
}

int hlbuf_poll_until(struct pollfd* fds, unsigned count, int64_t deadline) {
  if (deadline == HLBUF_NEVER) return poll(fds, count, -1);
  const struct timespec left = as_timespec(deadline - hlbuf_now());
  return ppoll(fds, count, &left, NULL);
}

static enum hlbuf_received receive(hlbuf_client* client, enum hlbuf_wait wait, int64_t deadline) {
  if (wait == HLBUF_WAIT_SOCKET) return hlbuf_packet_receive(client->socket, &client->packet, 0);
  if (wait != HLBUF_WAIT_NOT) {
    struct pollfd p = {.fd = client->socket, .events = POLLIN};
    if (wait == HLBUF_WAIT_ROOM) p.events |= POLLOUT;
    if (hlbuf_poll_until(&p, 1, deadline) <= 0) return HLBUF_RECEIVED_NOTHING;
  }
  return hlbuf_packet_receive(client->socket, &client->packet, MSG_DONTWAIT);
}

/* Nobody waits longer than it takes to look after a connection that is not in use yet, and after
 * what is to be sent. */
static void limit_wait(hlbuf_client* client, enum hlbuf_wait* wait, int64_t* deadline) {
  if (*wait == HLBUF_WAIT_NOT) return;
  const int64_t next = hlbuf_reconnect_next(client);
  if (hlbuf_wants_room(client))
    *wait = HLBUF_WAIT_ROOM;
  else if (*wait == HLBUF_WAIT_SOCKET && !(hlbuf_is_up(client) && next == HLBUF_NEVER))
    *wait = HLBUF_WAIT_POLL;
  if (next < *deadline) *deadline = next;
}

bool hlbuf_read(hlbuf_client* client, enum hlbuf_wait wait, int64_t deadline) {
  if (client->reconnect.link == HLBUF_LINK_DOWN)
    return hlbuf_reconnect(client, wait != HLBUF_WAIT_NOT, deadline);
  limit_wait(client, &wait, &deadline);
  client->reading = true;
  pthread_mutex_unlock(&client->lock);
  const enum hlbuf_received received = receive(client, wait, deadline);
  pthread_mutex_lock(&client->lock);
  client->reading = false;
  if (received == HLBUF_RECEIVED_NOTHING) {
    hlbuf_reattach_send(client);
    if (wait != HLBUF_WAIT_NOT) hlbuf_outbox_flush(client);
    return !hlbuf_is_up(client) && hlbuf_reconnect_give_up(client);
  }
  if (received == HLBUF_RECEIVED_PACKET)
    hlbuf_session_take(client);
  else
    hlbuf_connection_lost(client);
  return true;
}
