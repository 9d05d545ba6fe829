/* SPDX-License-Identifier: Apache-2.0
 *
 * One-way frames: RELEASE and PONG. They are sent at once; what the socket has no room for waits
 * here, so that a release never waits for the daemon and is never lost. What is released while the
 * service is away needs no frame: REATTACH does not name it. */
#ifndef HLBUF_CLIENT_SRC_OUTBOX_H_
#define HLBUF_CLIENT_SRC_OUTBOX_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hlbuf/hlbuf.h"

struct hlbuf_outbox {
  uint64_t* leases; /* to be released */
  size_t count;
  size_t capacity;
  bool pong; /* the newest PING is unanswered */
  uint64_t nonce;
};

/* With the client's lock held. Without memory to remember them the session is broken off, which
 * ends the leases too. */
void hlbuf_outbox_release(hlbuf_client* client, const uint64_t* leases, size_t count);
void hlbuf_outbox_pong(hlbuf_client* client, uint64_t nonce);

/* Sends what waits, as far as there is room. */
void hlbuf_outbox_flush(hlbuf_client* client);
bool hlbuf_outbox_is_empty(const struct hlbuf_outbox* outbox);
void hlbuf_outbox_clear(struct hlbuf_outbox* outbox);

#endif /* HLBUF_CLIENT_SRC_OUTBOX_H_ */
