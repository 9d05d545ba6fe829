/* SPDX-License-Identifier: Apache-2.0
 *
 * A dispatcher sleeps in poll() beside the threads that make requests, so every answer would wake
 * it too, for nothing. Hence: while requests are being made it stays off the socket and looks again
 * every PAUSE_NS; their threads wake it at once when they meet a notice. */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client/src/call.h"
#include "client/src/errors.h"

enum { PAUSE_NS = 10 * 1000 * 1000, NS_PER_S = 1000 * 1000 * 1000 };

int hlbuf_wakeup_open(hlbuf_client* client, hlbuf_error* error) {
  if (client->wake_fd >= 0) return HLBUF_OK;
  client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (client->wake_fd < 0) return hlbuf_fail_system(error, "eventfd", errno);
  const struct hlbuf_notices* notices = &client->notices;
  if (notices->goodbye || notices->first_revoked != NULL || notices->event_count > 0 ||
      notices->service != notices->service_told)
    hlbuf_notices_announce(client);
  return HLBUF_OK;
}

static bool watch(int epoll, int operation, int fd, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  return epoll_ctl(epoll, operation, fd, &event) == 0;
}

static void set_timer(struct hlbuf_reconnect* r, int64_t at) {
  if (at == r->timer_at) return;
  r->timer_at = at;
  /* All zero stops it, and a time that is over is told at once. */
  struct itimerspec when = {0};
  if (at != HLBUF_NEVER)
    when.it_value = (struct timespec){.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = at % NS_PER_S};
  (void)timerfd_settime(r->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* A session that is over stays readable: hlbuf_dispatch() has that to say. */
void hlbuf_poll_update(hlbuf_client* client) {
  if (client->poll_fd < 0) return;
  const bool has_socket = client->gone || client->reconnect.link != HLBUF_LINK_DOWN;
  const uint32_t wanted = !has_socket ? 0 : hlbuf_wants_room(client) ? EPOLLIN | EPOLLOUT : EPOLLIN;
  const int operation = client->poll_events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (wanted != 0 && wanted != client->poll_events &&
      watch(client->poll_fd, operation, client->socket, wanted))
    client->poll_events = wanted;
  set_timer(&client->reconnect, client->gone ? HLBUF_NEVER : hlbuf_reconnect_next(client));
}

void hlbuf_poll_drop_socket(hlbuf_client* client) {
  if (client->poll_fd < 0 || client->poll_events == 0) return;
  (void)watch(client->poll_fd, EPOLL_CTL_DEL, client->socket, 0);
  client->poll_events = 0;
}

static int open_poll_fd(hlbuf_client* client, hlbuf_error* error) {
  if (client->poll_fd >= 0) return client->poll_fd;
  if (hlbuf_wakeup_open(client, error) != HLBUF_OK) return -1;
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  const int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (fd < 0 || timer < 0 || !watch(fd, EPOLL_CTL_ADD, timer, EPOLLIN) ||
      !watch(fd, EPOLL_CTL_ADD, client->wake_fd, EPOLLIN)) {
    hlbuf_fail_system(error, "epoll", errno);
    if (fd >= 0) close(fd);
    if (timer >= 0) close(timer);
    return -1;
  }
  client->poll_fd = fd;
  client->reconnect.timer_fd = timer;
  hlbuf_poll_update(client);
  return fd;
}

int hlbuf_client_fd(hlbuf_client* client, hlbuf_error* error) {
  if (hlbuf_is_forked(client)) return hlbuf_fail_forked(error), -1;
  pthread_mutex_lock(&client->lock);
  const int fd = open_poll_fd(client, error);
  pthread_mutex_unlock(&client->lock);
  return fd;
}

static int64_t soon_or(int64_t deadline) {
  const int64_t soon = hlbuf_now() + PAUSE_NS;
  return soon < deadline ? soon : deadline;
}

/* True when the socket has something, which is not necessarily for us. A program without a free
 * descriptor still hears of revocations, if later: poll() skips a wake_fd of -1. */
static bool poll_both(hlbuf_client* client, int64_t deadline) {
  const int64_t next = hlbuf_reconnect_next(client);
  if (next < deadline) deadline = next;
  if (client->reconnect.link == HLBUF_LINK_DOWN) {
    hlbuf_wait_until(client, &client->noticed, deadline);
    return false;
  }
  if (hlbuf_wakeup_open(client, NULL) != HLBUF_OK) deadline = soon_or(deadline);
  struct pollfd fds[2] = {{.fd = client->socket, .events = POLLIN},
                          {.fd = client->wake_fd, .events = POLLIN}};
  if (hlbuf_wants_room(client)) fds[0].events |= POLLOUT;
  pthread_mutex_unlock(&client->lock);
  const bool any = hlbuf_poll_until(fds, 2, deadline) > 0;
  pthread_mutex_lock(&client->lock);
  return any && fds[0].revents != 0;
}

static void pause_dispatch(hlbuf_client* client, int64_t deadline) {
  hlbuf_wait_until(client, &client->noticed, soon_or(deadline));
}

static bool read_one(hlbuf_client* client) {
  if (client->reading || client->gone) return false;
  const bool took = hlbuf_read(client, HLBUF_WAIT_NOT, 0);
  hlbuf_call_hand_over(client);
  return took;
}

int hlbuf_dispatch_until(hlbuf_client* client, int64_t deadline, hlbuf_error* error) {
  uint64_t calls_seen = client->calls_started;
  bool readable = false;
  for (;;) {
    hlbuf_outbox_flush(client);
    const bool took = read_one(client);
    if (hlbuf_deliver(client) || client->stopping) return hlbuf_succeed(error);
    if (client->gone) return hlbuf_fail_gone(client, error);
    if (deadline != HLBUF_NEVER && hlbuf_now() >= deadline) return hlbuf_succeed(error);
    if (took) continue;
    const bool busy = client->calls_started != calls_seen || (client->reading && readable);
    calls_seen = client->calls_started;
    readable = false;
    if (busy)
      pause_dispatch(client, deadline);
    else
      readable = poll_both(client, deadline);
  }
}

int hlbuf_dispatch(hlbuf_client* client, int32_t timeout_ms, hlbuf_error* error) {
  if (hlbuf_is_forked(client)) return hlbuf_fail_forked(error);
  pthread_mutex_lock(&client->lock);
  const int code = hlbuf_dispatch_until(client, hlbuf_deadline(timeout_ms), error);
  pthread_mutex_unlock(&client->lock);
  return code;
}
