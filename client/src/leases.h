/* SPDX-License-Identifier: Apache-2.0
 *
 * The leases of a session, by lease id: a REVOKE can name a thousand among fifteen thousand. */
#ifndef HLBUF_CLIENT_SRC_LEASES_H_
#define HLBUF_CLIENT_SRC_LEASES_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hlbuf/hlbuf.h"

struct hlbuf_leases {
  hlbuf_buffer** buckets;
  unsigned bucket_bits;
  size_t count;
};

/* False: no memory. */
bool hlbuf_leases_init(struct hlbuf_leases* leases);
void hlbuf_leases_destroy(struct hlbuf_leases* leases);

/* Never fails: without memory for a larger table its chains grow longer. */
void hlbuf_leases_insert(struct hlbuf_leases* leases, hlbuf_buffer* buffer);
void hlbuf_leases_remove(struct hlbuf_leases* leases, hlbuf_buffer* buffer);
hlbuf_buffer* hlbuf_leases_find(const struct hlbuf_leases* leases, uint64_t lease_id);
/* Takes any one buffer out; NULL when empty. */
hlbuf_buffer* hlbuf_leases_pop(struct hlbuf_leases* leases);

#endif /* HLBUF_CLIENT_SRC_LEASES_H_ */
