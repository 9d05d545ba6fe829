/* SPDX-License-Identifier: Apache-2.0
 *
 * One packet as it arrived, and the checks that its bytes must pass before anything is believed. */
#ifndef HLBUF_CLIENT_SRC_PACKET_H_
#define HLBUF_CLIENT_SRC_PACKET_H_

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proto/hlbuf_wire.h"

/* Room for a packet and its descriptors. Reused from packet to packet, never cleared. */
struct hlbuf_packet {
  size_t bytes;
  bool bytes_cut; /* MSG_TRUNC: longer than a frame may be */
  bool fds_cut;   /* MSG_CTRUNC: some descriptors did not arrive */
  size_t fd_count;
  int fds[HLBUF_WIRE_BATCH_MAX + 1]; /* owned; -1: taken */
  alignas(8) uint8_t data[HLBUF_WIRE_FRAME_BYTES_MAX];
  alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(HLBUF_WIRE_BATCH_MAX * sizeof(int))];
};

enum hlbuf_received {
  HLBUF_RECEIVED_PACKET,
  HLBUF_RECEIVED_NOTHING, /* none in time, or a signal came */
  HLBUF_RECEIVED_END      /* the peer closed, and everything it sent was read */
};

/* recvmsg() with `flags`, close-on-exec. The packet owns every descriptor that arrived, whatever
 * the outcome; hlbuf_packet_close_fds() before the next one. */
enum hlbuf_received hlbuf_packet_receive(int socket, struct hlbuf_packet* packet, int flags);

/* The caller owns it from now on. */
int hlbuf_packet_take_fd(struct hlbuf_packet* packet, size_t index);

/* Closes what nobody took. */
void hlbuf_packet_close_fds(struct hlbuf_packet* packet);

/* False when the header contradicts the packet. */
bool hlbuf_packet_header(const struct hlbuf_packet* packet, struct hlbuf_wire_header* header);

/* Copies the first `bytes` of header and fixed part, which is the size of the frame's struct in
 * version 1: false when the sender's is shorter, which no version may be. */
bool hlbuf_packet_fixed(const struct hlbuf_packet* packet, void* fixed, size_t bytes);

/* The same of a struct that has grown since version 1, when it had `least_bytes`; what the sender
 * does not have is zero. */
bool hlbuf_packet_grown(const struct hlbuf_packet* packet, void* fixed, size_t bytes,
                        size_t least_bytes);

/* A part of a packet. */
struct hlbuf_span {
  const uint8_t* bytes;
  size_t count;
};

/* What follows the fixed part. The header has been checked. */
struct hlbuf_span hlbuf_packet_trailing(const struct hlbuf_packet* packet);

/* An array in a packet, and the texts behind it. */
struct hlbuf_items {
  const uint8_t* first;
  size_t item_bytes; /* at the sender */
  struct hlbuf_span texts;
};

/* False unless `count` items of `item_bytes` each are there; `known_bytes` is the item's size in
 * version 1. */
bool hlbuf_packet_items(const struct hlbuf_packet* packet, size_t count, size_t item_bytes,
                        size_t known_bytes, struct hlbuf_items* items);

/* Copies the first `bytes` of item `index`; what the sender does not have is zero. */
void hlbuf_items_copy(const struct hlbuf_items* items, size_t index, void* item, size_t bytes);

/* False unless `bytes` at `offset` lie inside `whole`. */
bool hlbuf_span_cut(struct hlbuf_span whole, size_t offset, size_t bytes, struct hlbuf_span* part);

#endif /* HLBUF_CLIENT_SRC_PACKET_H_ */
