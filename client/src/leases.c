/* SPDX-License-Identifier: Apache-2.0 */
#include "client/src/leases.h"

#include <stdlib.h>

#include "client/src/client.h"

enum { INITIAL_BUCKET_BITS = 5 };

/* Ids are counters with parts in front; the multiplication spreads them over the top bits. */
static hlbuf_buffer** bucket_of(hlbuf_buffer** buckets, unsigned bits, uint64_t lease_id) {
  return &buckets[(lease_id * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - bits)];
}

bool hlbuf_leases_init(struct hlbuf_leases* leases) {
  leases->count = 0;
  leases->bucket_bits = INITIAL_BUCKET_BITS;
  leases->buckets = calloc((size_t)1 << INITIAL_BUCKET_BITS, sizeof(hlbuf_buffer*));
  return leases->buckets != NULL;
}

void hlbuf_leases_destroy(struct hlbuf_leases* leases) {
  free(leases->buckets);
  leases->buckets = NULL;
}

static void push(hlbuf_buffer** bucket, hlbuf_buffer* buffer) {
  buffer->next_in_bucket = *bucket;
  *bucket = buffer;
}

static void grow(struct hlbuf_leases* leases) {
  const unsigned bits = leases->bucket_bits + 1;
  hlbuf_buffer** buckets = calloc((size_t)1 << bits, sizeof(hlbuf_buffer*));
  if (buckets == NULL) return;
  for (size_t i = 0; i < (size_t)1 << leases->bucket_bits; ++i) {
    for (hlbuf_buffer *b = leases->buckets[i], *next; b != NULL; b = next) {
      next = b->next_in_bucket;
      push(bucket_of(buckets, bits, b->lease_id), b);
    }
  }
  free(leases->buckets);
  leases->buckets = buckets;
  leases->bucket_bits = bits;
}

void hlbuf_leases_insert(struct hlbuf_leases* leases, hlbuf_buffer* buffer) {
  if (leases->count >= (size_t)1 << leases->bucket_bits) grow(leases);
  push(bucket_of(leases->buckets, leases->bucket_bits, buffer->lease_id), buffer);
  ++leases->count;
}

void hlbuf_leases_remove(struct hlbuf_leases* leases, hlbuf_buffer* buffer) {
  hlbuf_buffer** at = bucket_of(leases->buckets, leases->bucket_bits, buffer->lease_id);
  while (*at != buffer) at = &(*at)->next_in_bucket;
  *at = buffer->next_in_bucket;
  --leases->count;
}

hlbuf_buffer* hlbuf_leases_find(const struct hlbuf_leases* leases, uint64_t lease_id) {
  hlbuf_buffer* b = *bucket_of(leases->buckets, leases->bucket_bits, lease_id);
  while (b != NULL && b->lease_id != lease_id) b = b->next_in_bucket;
  return b;
}

hlbuf_buffer* hlbuf_leases_pop(struct hlbuf_leases* leases) {
  for (size_t i = 0; leases->count > 0 && i < (size_t)1 << leases->bucket_bits; ++i) {
    hlbuf_buffer* b = leases->buckets[i];
    if (b == NULL) continue;
    leases->buckets[i] = b->next_in_bucket;
    --leases->count;
    return b;
  }
  return NULL;
}
