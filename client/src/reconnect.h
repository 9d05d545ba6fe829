/* SPDX-License-Identifier: Apache-2.0
 *
 * A session that outlives its connection.
 *
 * When the service dies, the old socket is read to its end and another file takes its place under
 * the same number, so that whoever polls it need not be told. Then the reader, whoever it is,
 * connects, and says by REATTACH what the session has; when that is answered, each call sends its
 * request again by itself. No thread is needed for it, and no call waits longer than its time: the
 * next one goes on where the last one left.
 *
 *   UP --end of file--> DOWN --connect()--> REATTACHING --REATTACHED--> UP
 *                        ^                      |
 *                        +------end of file-----+        refused, or too late: the session is over
 */
#ifndef HLBUF_CLIENT_SRC_RECONNECT_H_
#define HLBUF_CLIENT_SRC_RECONNECT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "hlbuf/hlbuf.h"
#include "proto/hlbuf_wire.h"

struct hlbuf_call;
struct hlbuf_repeat;

enum hlbuf_link { HLBUF_LINK_UP, HLBUF_LINK_DOWN, HLBUF_LINK_REATTACHING };

struct hlbuf_reconnect {
  /* Constants. */
  int32_t timeout_ms; /* -1: never give up; 0: not at all */
  struct sockaddr_un address;
  char name[HLBUF_WIRE_NAME_BYTES_MAX + 1];
  size_t name_bytes;

  enum hlbuf_link link;
  bool has_secret;
  uint8_t secret[HLBUF_WIRE_SECRET_BYTES];
  bool kept;        /* GOODBYE said that the leases are */
  int64_t up_since; /* CLOCK_MONOTONIC, as are these: */
  int64_t give_up;
  int64_t next_try;
  int64_t pause_ns; /* until the try after the next one */
  int last_errno;   /* of connect(); 0: it was taken, and lost again */

  /* REATTACH, while it is under way: leases, then cookies. */
  uint64_t* ids;
  size_t lease_count;
  size_t cookie_count;
  size_t sent; /* of both */
  bool all_sent;
  uint64_t cookie;

  struct hlbuf_repeat* repeats; /* requests whose callers have left, to be sent all the same */
  int timer_fd;                 /* in poll_fd; -1 until somebody asks for that */
  int64_t timer_at;             /* as it is set */
};

/* ---- reconnect.c. With the lock held, and only while nobody reads. */

/* End of file, and everything in front of it was read: another try, or the end of the session. */
void hlbuf_connection_lost(hlbuf_client* client);

/* Of a connection that is down: connects, if it is time to, and waits until then, but not beyond
 * `deadline`. True when something has changed. */
bool hlbuf_reconnect(hlbuf_client* client, bool wait, int64_t deadline);

/* Ends a session that was waited for long enough. True when it did. */
bool hlbuf_reconnect_give_up(hlbuf_client* client);

/* When somebody has to look again at the latest. */
int64_t hlbuf_reconnect_next(const hlbuf_client* client);

/* REATTACHED came. */
void hlbuf_connection_up(hlbuf_client* client);

/* ---- reattach.c */

/* Begins REATTACH with what the session has now. False: no memory. */
bool hlbuf_reattach_begin(hlbuf_client* client);
/* Sends as many of its parts as there is room for. */
void hlbuf_reattach_send(hlbuf_client* client);
void hlbuf_reattach_forget(hlbuf_client* client);
/* Takes the secret and the limit of WELCOME and REATTACHED. */
void hlbuf_welcome_take(hlbuf_client* client, const struct hlbuf_wire_welcome* frame);
/* Judges the answer, or the GOODBYE in its place, in client->packet. False when it is none. */
bool hlbuf_reattach_take(hlbuf_client* client, const struct hlbuf_wire_header* header);
bool hlbuf_reattach_goodbye(hlbuf_client* client, uint32_t reason);

/* ---- repeat.c. What REATTACH says will come again has to come again, or its lease is a ghost. */

/* Copies the request of `call`, if it creates something. False: it cannot be promised. */
bool hlbuf_repeat_promise(struct hlbuf_call* call);
/* The caller leaves; what was promised for it is kept. */
void hlbuf_repeat_leave(hlbuf_client* client, struct hlbuf_call* call);
/* Sends what is kept, as far as there is room. */
void hlbuf_repeats_send(hlbuf_client* client);
void hlbuf_repeats_forget(hlbuf_client* client);

#endif /* HLBUF_CLIENT_SRC_RECONNECT_H_ */
