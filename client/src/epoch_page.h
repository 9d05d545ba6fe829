/* SPDX-License-Identifier: Apache-2.0
 *
 * The epoch page: memory of the daemon in which each buffer that is current has a word with its id.
 * A word of the buffer's own stands in for that where the daemon has no page, and once the buffer
 * is over.
 *
 * Readers take no lock, so what was mapped once is mapped until the client is freed. The next page
 * takes the place of one of the same size, which the kernel does in one step for whoever reads. */
#ifndef HLBUF_CLIENT_SRC_EPOCH_PAGE_H_
#define HLBUF_CLIENT_SRC_EPOCH_PAGE_H_

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "hlbuf/hlbuf.h"
#include "proto/hlbuf_wire.h"

/* The size changes with the configuration of the service, so seldom. A daemon that changes it again
 * and again is not followed. */
enum { HLBUF_EPOCH_MAPPINGS_MAX = 8 };

struct hlbuf_epoch_mapping {
  const _Atomic(uint64_t)* words;
  size_t count;
};

struct hlbuf_epoch_page {
  bool granted; /* the daemon has one: what is not seen to be current in it is not */
  bool mapped;  /* the last mapping is of the daemon's page; those before it are of earlier ones */
  dev_t device;
  ino_t inode;
  struct hlbuf_epoch_mapping mappings[HLBUF_EPOCH_MAPPINGS_MAX];
  size_t mapping_count;
};

/* Takes the page that came with WELCOME or REATTACHED, in client->packet, or that none came: every
 * buffer is looked for there from now on. False when it is not what the daemon says it is. */
bool hlbuf_epoch_page_take(hlbuf_client* client, const struct hlbuf_wire_welcome* frame);
/* Nobody reads it any more. */
void hlbuf_epoch_page_destroy(struct hlbuf_epoch_page* page);

/* Whether a grant can say so. */
bool hlbuf_epoch_slot_is_sound(const hlbuf_client* client, uint32_t slot);
/* Looks for the buffer where it is now. */
void hlbuf_epoch_look(hlbuf_buffer* buffer);
/* It is not current any more, and never will be again. */
void hlbuf_epoch_end(hlbuf_buffer* buffer);

#endif /* HLBUF_CLIENT_SRC_EPOCH_PAGE_H_ */
