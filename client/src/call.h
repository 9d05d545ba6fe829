/* SPDX-License-Identifier: Apache-2.0
 *
 * One request and its answer. */
#ifndef HLBUF_CLIENT_SRC_CALL_H_
#define HLBUF_CLIENT_SRC_CALL_H_

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/src/client.h"

enum hlbuf_took {
  HLBUF_TOOK,       /* call->code is the outcome */
  HLBUF_TOOK_BREACH /* the frame is broken, or is no answer to this request */
};

/* Lives on the stack of the thread that makes the request; the reader completes it. */
struct hlbuf_call {
  /* By the caller. */
  uint16_t reply; /* opcode of the answer */
  /* Reads the answer out of client->packet. Runs on the reader's thread, with the lock held. */
  enum hlbuf_took (*take)(struct hlbuf_call* call, hlbuf_client* client);
  void* into; /* `take` knows what it is */
  hlbuf_error* error;
  bool has_begun; /* its time runs already: `deadline` is the caller's */
  /* By hlbuf_call(). */
  int code;
  bool done;
  bool sent;    /* over the connection that there is */
  bool delayed; /* part of its time is over before it waits for its answer */
  bool waiting; /* on `wake`: can be made the reader by a signal */
  uint64_t cookie;
  int32_t timeout_ms;
  int64_t deadline;
  const void* frame;
  size_t frame_bytes;
  struct hlbuf_repeat* promised; /* a copy of the frame, that comes again whoever waits */
  struct hlbuf_call* next;
  pthread_cond_t wake; /* done, or nobody reads */
};

/* Sends `frame`, which starts with a header whose cookie is written here, and waits for the answer
 * or the deadline. Returns call->code. Without the lock. */
int hlbuf_call(hlbuf_client* client, struct hlbuf_call* call, void* frame, size_t frame_bytes);

/* Takes the call off the list and wakes its thread. With the lock held. */
void hlbuf_call_finish(hlbuf_client* client, struct hlbuf_call* call, int code);

/* A connection is lost: nothing that was sent over it counts. With the lock held. */
void hlbuf_calls_unsend(hlbuf_client* client);
/* There is one again: wakes each to send its request. With the lock held. */
void hlbuf_calls_wake(hlbuf_client* client);

/* Whoever stops reading wakes the next one who needs to. With the lock held. */
void hlbuf_call_hand_over(hlbuf_client* client);

/* NULL: nobody waits for it any more, or nobody ever asked. With the lock held. */
struct hlbuf_call* hlbuf_call_find(hlbuf_client* client, uint64_t cookie);

/* ---- Waiting, for calls and dispatchers. Deadlines are nanoseconds of CLOCK_MONOTONIC. */

#define HLBUF_NEVER INT64_MAX

int64_t hlbuf_now(void);
/* -1: never. */
int64_t hlbuf_deadline(int32_t timeout_ms);
/* At least 1, because 0 often stands for no timeout; -1: never. */
int32_t hlbuf_left_ms(int64_t deadline);

enum hlbuf_wait {
  HLBUF_WAIT_NOT,    /* take what is there */
  HLBUF_WAIT_POLL,   /* until `deadline` */
  HLBUF_WAIT_SOCKET, /* until the socket's own receive timeout: saves the poll() */
  HLBUF_WAIT_ROOM    /* until `deadline`, or until the socket takes a packet */
};

/* Becomes the reader, receives one packet and acts on it; gives the lock up meanwhile. Only while
 * nobody reads. False when nothing came. */
bool hlbuf_read(hlbuf_client* client, enum hlbuf_wait wait, int64_t deadline);

/* Waits for `condition` with the lock held; returns at the deadline at the latest. */
void hlbuf_wait_until(hlbuf_client* client, pthread_cond_t* condition, int64_t deadline);

/* poll() until the deadline. */
struct pollfd;
int hlbuf_poll_until(struct pollfd* fds, unsigned count, int64_t deadline);

#endif /* HLBUF_CLIENT_SRC_CALL_H_ */
