/* SPDX-License-Identifier: Apache-2.0
 *
 * What hl-bufd and hl-bufd-keeper say to each other, on a SOCK_SEQPACKET connection that is
 * descriptor 3 of the keeper.
 *
 * One packet is one struct hlbuf_keeper_message with its descriptors, in the byte order of the
 * machine; a path or ids follow where the verb says so, and nothing else. hl-bufd asks, the keeper
 * answers in that order.
 *
 * A keeper outlives the hl-bufd that began it, so the two may differ in version, and it serves the
 * next one with what it has: the struct never changes its size, nor a field its meaning, and a verb
 * that exists stays. New verbs raise no version; who does not know one says REFUSED. Whoever comes
 * to a keeper on a connection that another hl-bufd used begins with cookies that this one cannot
 * have used, closes what came with other ones, and asks COUNT, then FETCH.
 */
#ifndef HLBUF_DAEMON_KEEPER_KEEPER_WIRE_H_
#define HLBUF_DAEMON_KEEPER_KEEPER_WIRE_H_

#include <assert.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  HLBUF_KEEPER_VERSION = 1,
  HLBUF_KEEPER_CHANNEL = 3, /* the keeper's descriptor */
  /* Another one, where the keeper was told so at its start: a listening socket. When its connection
   * has ended and it keeps anything, it waits there for the next hl-bufd, of its own user. */
  HLBUF_KEEPER_NEXT = 4,
  HLBUF_KEEPER_PATH_BYTES_MAX = 255,
  HLBUF_KEEPER_IDS_MAX = 1024,
  HLBUF_KEEPER_FETCH_MAX = 253, /* as many as the kernel puts into one message */
  HLBUF_KEEPER_DEVICE_ID = 0    /* under which OPEN keeps the device; buffers have other ids */
};

enum hlbuf_keeper_verb {
  /* Opens the path of `items` bytes that follows; answered OPENED. It is absolute, without a NUL
   * and without "..". */
  HLBUF_KEEPER_OPEN = 1,
  /* Keeps the one descriptor that comes along, under `id`, beside what is kept under it already.
   * Not answered. */
  HLBUF_KEEPER_KEEP = 2,
  /* Closes everything kept under the `items` ids (uint64_t) that follow; answered DROPPED when it
   * is closed. An id under which nothing is kept is none. */
  HLBUF_KEEPER_DROP = 3,
  HLBUF_KEEPER_DROP_ALL = 4, /* the device too; answered DROPPED */
  HLBUF_KEEPER_COUNT = 5,    /* answered COUNTED, when everything sent before is done */
  /* Sends duplicates of what is kept, all but the first `id` of it, in an order that holds until
   * the next KEEP, OPEN or DROP; what is kept stays. Answered FETCHED, which brings as much as one
   * message takes: asked again and again, it brings everything, and nothing in the end. */
  HLBUF_KEEPER_FETCH = 6,

  HLBUF_KEEPER_OPENED = 0x81, /* `error`, or one descriptor, of which the keeper kept a copy */
  HLBUF_KEEPER_DROPPED = 0x83,
  HLBUF_KEEPER_COUNTED = 0x85,
  /* `items` ids (uint64_t) follow, each of the descriptor at the same place. `error` ETOOMANYREFS,
   * and none: this user has too many unread descriptors now. */
  HLBUF_KEEPER_FETCHED = 0x86,
  /* This keeper knows no such verb (`error` EOPNOTSUPP) or version (EPROTONOSUPPORT). What came
   * along is closed. */
  HLBUF_KEEPER_REFUSED = 0xff
};

enum hlbuf_keeper_flag {
  HLBUF_KEEPER_UNANSWERED = 1 /* DROP: not answered */
};

struct hlbuf_keeper_message {
  uint32_t version; /* the sender's */
  uint32_t verb;    /* enum hlbuf_keeper_verb */
  uint64_t cookie;  /* of a request; its answer has the same */
  uint64_t id;      /* KEEP; FETCH: how many to pass over */
  uint32_t flags;   /* enum hlbuf_keeper_flag; OPEN: 0 */
  uint32_t items;   /* OPEN, DROP, FETCHED */
  int32_t error;    /* answers: 0 or an errno. OPENED: ENOTTY says that it is no character device,
                       EINVAL that the path or a flag is not taken */
  uint32_t kept;    /* answers: descriptors that the keeper keeps */
  uint32_t room;    /* answers: for how many more it has room (RLIMIT_NOFILE) */
  uint32_t reserved;
};
static_assert(sizeof(struct hlbuf_keeper_message) == 48, "never changes");

/* What the keeper ends with. In every case the kernel closes all that it kept. */
enum hlbuf_keeper_exit {
  HLBUF_KEEPER_EXIT_CONNECTION_ENDED = 0,
  HLBUF_KEEPER_EXIT_MALFORMED = 1, /* a message that no hl-bufd sends */
  HLBUF_KEEPER_EXIT_BAD_USAGE = 2,
  /* A packet longer than any message, or a descriptor lost on its way: none was free here. */
  HLBUF_KEEPER_EXIT_CUT_SHORT = 3
};

#ifdef __cplusplus
}
#endif

#endif /* HLBUF_DAEMON_KEEPER_KEEPER_WIRE_H_ */
