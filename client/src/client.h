/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of one session, and who may touch it.
 *
 * Whoever waits for an answer reads the socket: the first becomes the reader, hands the others
 * their answers as they come in, and passes the role on when it leaves. So a program with one
 * thread makes one send and one recvmsg per request, and nothing is woken. Everything in
 * hlbuf_client but the constants is guarded by `lock`; `packet` belongs to the thread that set
 * `reading`, and to the holder of the lock while nobody reads. The lock is held across no system
 * call that can wait, and across no callback.
 *
 * Functions named here expect the lock to be held, unless their comment says otherwise. */
#ifndef HLBUF_CLIENT_SRC_CLIENT_H_
#define HLBUF_CLIENT_SRC_CLIENT_H_

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/src/epoch_page.h"
#include "client/src/leases.h"
#include "client/src/outbox.h"
#include "client/src/packet.h"
#include "client/src/reconnect.h"
#include "hlbuf/hlbuf.h"

enum { HLBUF_DEVICE_EVENTS_MAX = 64 };

struct hlbuf_call;

struct hlbuf_queued_event {
  char name[HLBUF_WIRE_DEVICE_BYTES_MAX + 1];
  uint32_t state;
  uint64_t epoch;
};

/* What was read and waits for hlbuf_dispatch(). */
struct hlbuf_notices {
  hlbuf_buffer* first_revoked; /* each holds a reference */
  hlbuf_buffer* last_revoked;
  struct hlbuf_queued_event events[HLBUF_DEVICE_EVENTS_MAX]; /* oldest first, one per device */
  size_t event_count;
  bool goodbye; /* to be delivered; its contents are in hlbuf_client */
  /* enum hlbuf_service_state: as it is, and as it was told */
  uint32_t service;
  uint32_t service_told;
};

struct hlbuf_client {
  /* Constants of the session. */
  pid_t pid;
  int socket; /* the number; what is open under it changes with a restart of the service */
  hlbuf_callbacks callbacks;
  uint64_t session_id;

  /* Read without the lock; another service may have another. */
  _Atomic(uint32_t) batch_max;

  pthread_mutex_t lock;
  size_t references; /* the program's handle, and each buffer */
  int32_t timeout_ms;
  int32_t socket_timeout_ms; /* SO_RCVTIMEO as it is */

  uint64_t last_cookie;
  struct hlbuf_call* calls; /* unanswered, oldest first */
  bool reading;
  uint64_t calls_started;
  /* The kernel had no memory for the last packet, and is asked again then; 0: it had. */
  int64_t memory_retry_at;

  struct hlbuf_reconnect reconnect;
  struct hlbuf_epoch_page page;
  struct hlbuf_leases leases;
  struct hlbuf_outbox outbox;
  struct hlbuf_notices notices;

  bool gone; /* the session is over; what follows says why */
  uint32_t goodbye_reason;
  uint32_t goodbye_leases_kept;
  char goodbye_text[HLBUF_ERROR_TEXT_BYTES];

  pthread_cond_t noticed; /* for dispatchers that stay off the socket */
  int wake_fd;            /* eventfd, set while notices wait; -1 until somebody needs it */
  bool wake_set;
  int poll_fd;          /* epoll of socket, wake_fd and a timer; -1 until somebody asks for it */
  uint32_t poll_events; /* the socket's; 0: it is not in there */
  bool has_thread;
  bool stopping;
  pthread_t thread;

  struct hlbuf_packet packet;
};

struct hlbuf_buffer {
  hlbuf_client* client;
  uint64_t buffer_id;
  uint64_t lease_id;
  uint64_t size_bytes;
  uint64_t epoch;
  uint32_t epoch_slot;
  /* Read without the lock. */
  _Atomic(void*) context;
  atomic_int fd;
  atomic_bool revoked;
  _Atomic(const _Atomic(uint64_t)*) word; /* has `buffer_id` while the buffer is current */
  _Atomic(uint64_t) own_word;             /* another value: not current any more */
  /* Under the lock. */
  unsigned references; /* the program's handle, the queue of revocations, a running callback */
  bool leased;         /* in the table of leases: neither given back nor ended with the session */
  bool queued;         /* among the revocations that wait for the callback */
  uint32_t reason;     /* of the newest revocation; its deadline is the earliest */
  uint64_t deadline_boottime_ns;
  hlbuf_buffer* next_in_bucket;
  hlbuf_buffer* next_revoked;
};

/* A child after fork() shares the socket and copied the lock in whatever state it was: it must not
 * get as far as either. Without the lock. */
bool hlbuf_is_forked(const hlbuf_client* client);
int hlbuf_fail_forked(hlbuf_error* error);

/* True while requests can be sent. */
static inline bool hlbuf_is_up(const hlbuf_client* client) {
  return client->reconnect.link == HLBUF_LINK_UP;
}

/* Sets SO_RCVTIMEO or SO_SNDTIMEO. Without the lock. */
void hlbuf_set_socket_timeout(int socket, int option, int32_t timeout_ms);

/* ---- send.c */

enum { HLBUF_SEND_PAUSE_NS = 10 * 1000 * 1000 };

enum hlbuf_sent {
  HLBUF_SENT,
  HLBUF_SENT_LATER, /* no room; or no memory, if `memory_retry_at` is set */
  HLBUF_SENT_NEVER  /* errno says why */
};
/* Never wait. */
struct iovec;
enum hlbuf_sent hlbuf_send(hlbuf_client* client, const void* frame, size_t frame_bytes);
enum hlbuf_sent hlbuf_send_parts(hlbuf_client* client, struct iovec* parts, size_t count);
/* Tells who dispatches, and the epoll, that something was left to be sent by them. */
void hlbuf_send_left(hlbuf_client* client);
/* There is something that belongs to no caller to be sent, and it waits for room. */
bool hlbuf_wants_room(const hlbuf_client* client);
/* When it is to be tried again, if it waits for memory. */
int64_t hlbuf_send_next(const hlbuf_client* client);

/* ---- session.c */

/* HLBUF_E_SERVICE_GONE with the reason. */
int hlbuf_fail_gone(const hlbuf_client* client, hlbuf_error* error);

/* Judges `client->packet` and acts on it. */
void hlbuf_session_take(hlbuf_client* client);

/* Ends the session: fails every call, revokes every lease, queues the notices. Only while nobody
 * reads. `reason` is enum hlbuf_goodbye_reason. */
void hlbuf_session_end(hlbuf_client* client, uint32_t reason, uint32_t leases_kept,
                       const char* text);

/* Makes the reader, whoever it is, find the end of the connection. */
void hlbuf_session_break(hlbuf_client* client);

/* ---- notices.c */

/* False when the frame is broken. */
bool hlbuf_notices_take(hlbuf_client* client, uint16_t opcode);
void hlbuf_notices_revoke_all(hlbuf_client* client);
/* Wakes whoever dispatches. */
void hlbuf_notices_announce(hlbuf_client* client);

/* ---- deliver.c */

/* Calls the callbacks for what is queued, without the lock meanwhile; false when nothing was. */
bool hlbuf_deliver(hlbuf_client* client);

/* ---- dispatch.c */

/* Opens wake_fd, unless it is open. */
int hlbuf_wakeup_open(hlbuf_client* client, hlbuf_error* error);
/* Tells the epoll what to wait for: the socket, room in it, the time of the next try. */
void hlbuf_poll_update(hlbuf_client* client);
/* Takes the socket out of it, before another file takes its place. */
void hlbuf_poll_drop_socket(hlbuf_client* client);
/* hlbuf_dispatch() with the lock held. */
int hlbuf_dispatch_until(hlbuf_client* client, int64_t deadline, hlbuf_error* error);
/* Without the lock. */
void hlbuf_thread_stop(hlbuf_client* client);

/* ---- buffer.c */

struct hlbuf_grant {
  uint64_t buffer_id;
  uint64_t lease_id;
  uint64_t size_bytes;
  uint64_t epoch;
  uint32_t epoch_slot;
};
/* Takes over `fd`, which is closed on failure; NULL: no memory. */
hlbuf_buffer* hlbuf_buffer_new(hlbuf_client* client, int fd, const struct hlbuf_grant* grant);
void hlbuf_buffer_unref(hlbuf_buffer* buffer);
/* Ends the lease on this side. Returns the descriptor for the caller to close, or -1. */
int hlbuf_buffer_detach(hlbuf_buffer* buffer);
/* Gives up the lock and one reference; frees the client with the last. */
void hlbuf_client_unlock_unref(hlbuf_client* client);

/* Leases that end together. Descriptors are closed without the lock, because the last close of a
 * dma-buf can take as long as its driver likes, and before the daemon is told. */
enum { HLBUF_PARTING_MAX = HLBUF_WIRE_LEASES_MAX };
struct hlbuf_parting {
  size_t count;
  uint64_t leases[HLBUF_PARTING_MAX];
  int fds[HLBUF_PARTING_MAX];
};
/* Adds the lease of `buffer`, unless it has ended. */
void hlbuf_parting_add(struct hlbuf_parting* parting, hlbuf_buffer* buffer);
/* Closes and tells; gives the lock up meanwhile. */
void hlbuf_parting_finish(struct hlbuf_parting* parting, hlbuf_client* client);

#endif /* HLBUF_CLIENT_SRC_CLIENT_H_ */
