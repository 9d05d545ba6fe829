/* SPDX-License-Identifier: Apache-2.0
 *
 * The data plane of hl-bufd: what one packet on buf.sock contains.
 *
 * One SOCK_SEQPACKET packet is one frame with its descriptors; there is no framing layer. A frame
 * is a header, the fixed part of its opcode, and trailing bytes (arrays and texts that the fixed
 * part counts). All integers are little-endian and naturally aligned; padding and reserved fields
 * are zero, and a receiver refuses a frame in which they are not.
 *
 * Growth: `fixed_bytes` says how long header + fixed part are at the sender, `item_bytes` the same
 * for array items. A receiver reads what it knows, takes missing fields as zero, and skips what it
 * does not know. Nothing here ever changes its meaning or place.
 *
 * proto/PROTOCOL.md is the specification; this file is its layout. Plain C11 and C++, no
 * dependency.
 */
#ifndef HLBUF_WIRE_H_
#define HLBUF_WIRE_H_

#include <assert.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  HLBUF_WIRE_VERSION = 1,
  HLBUF_WIRE_FRAME_BYTES_MAX = 32 * 1024,
  /* SCM_MAX_FD of the kernel: sendmsg() refuses a 254th descriptor with EINVAL. */
  HLBUF_WIRE_BATCH_MAX = 253,
  HLBUF_WIRE_NAME_BYTES_MAX = 63,
  HLBUF_WIRE_DEVICE_BYTES_MAX = 63,
  HLBUF_WIRE_LABELS_MAX = 8,
  HLBUF_WIRE_LABEL_BYTES_MAX = 256,
  /* Leases in one RELEASE or one REVOKE frame, or in one part of a REATTACH. */
  HLBUF_WIRE_LEASES_MAX = 1024,
  /* Cookies in one part of a REATTACH. */
  HLBUF_WIRE_COOKIES_MAX = 1024,
  HLBUF_WIRE_SECRET_BYTES = 16
};

/* Bits of `features`. */
enum {
  /* HELLO: this client can reattach. WELCOME: and has a secret to do so. */
  HLBUF_WIRE_FEATURE_REATTACH = 1,
  /* HELLO: this client maps the epoch page. WELCOME: and its descriptor comes along. */
  HLBUF_WIRE_FEATURE_EPOCH_PAGE = 2
};

/* The epoch page: a memfd of 64-bit words, each read by one atomic load. The first one is
 * HLBUF_WIRE_EPOCH_MAGIC; those before HLBUF_WIRE_EPOCH_FIRST_SLOT say nothing else. The others are
 * slots: the id of the buffer that is current there, or 0. */
#define HLBUF_WIRE_EPOCH_MAGIC UINT64_C(0x31484350454c4248) /* "HBLEPCH1" */
enum { HLBUF_WIRE_EPOCH_FIRST_SLOT = 8 };

enum hlbuf_wire_opcode {
  /* Requests; the answer has the same cookie and opcode | HLBUF_WIRE_REPLY, or is an ERROR. */
  HLBUF_WIRE_HELLO = 1,
  HLBUF_WIRE_ALLOCATE = 2,
  HLBUF_WIRE_OPEN = 3,
  HLBUF_WIRE_SHARE = 4,
  HLBUF_WIRE_UNSHARE = 5,
  HLBUF_WIRE_DEVICES = 6,
  HLBUF_WIRE_REATTACH = 7,
  /* One-way, client to daemon. */
  HLBUF_WIRE_RELEASE = 16,
  HLBUF_WIRE_PONG = 17,
  /* Answers. */
  HLBUF_WIRE_REPLY = 0x80,
  HLBUF_WIRE_WELCOME = 0x81,
  HLBUF_WIRE_ALLOCATED = 0x82,
  HLBUF_WIRE_OPENED = 0x83,
  HLBUF_WIRE_SHARED = 0x84,
  HLBUF_WIRE_UNSHARED = 0x85,
  HLBUF_WIRE_DEVICE_LIST = 0x86,
  HLBUF_WIRE_REATTACHED = 0x87,
  HLBUF_WIRE_ERROR = 0xff,
  /* Notices, daemon to client, cookie 0. */
  HLBUF_WIRE_REVOKE = 0x90,
  HLBUF_WIRE_DEVICE = 0x91,
  HLBUF_WIRE_PING = 0x92,
  HLBUF_WIRE_GOODBYE = 0x93
};

/* Published: a value keeps its meaning for ever. Programs decide by it, people read the text beside
 * it. */
enum hlbuf_wire_status {
  HLBUF_WIRE_OK = 0,
  HLBUF_WIRE_INVALID_ARGUMENT = 1,   /* the request makes no sense; the text names the field */
  HLBUF_WIRE_PROTOCOL_ERROR = 2,     /* the frame is broken; GOODBYE and end of session follow */
  HLBUF_WIRE_NOT_FOUND = 3,          /* no such buffer or device, or none for this peer to know */
  HLBUF_WIRE_GONE = 4,               /* the buffer was; the text says what became of it */
  HLBUF_WIRE_PERMISSION_DENIED = 5,  /* policy refused; the text names the rule */
  HLBUF_WIRE_ALREADY_EXISTS = 6,     /* the owner's domain has a buffer of that name */
  HLBUF_WIRE_QUOTA_EXCEEDED = 7,     /* a limit of the peer or the service; the text names it */
  HLBUF_WIRE_NO_MEMORY = 8,          /* the device has no room for it */
  HLBUF_WIRE_DEVICE_UNAVAILABLE = 9, /* the device resets, is drained or failed; wait for DEVICE */
  HLBUF_WIRE_REVOKED = 10,           /* a revocation of the buffer is under way */
  HLBUF_WIRE_BUSY = 11,              /* too many descriptors on their way to peers; try again */
  HLBUF_WIRE_UNIMPLEMENTED = 12,     /* unknown opcode, or a feature that WELCOME did not grant */
  HLBUF_WIRE_DEVICE_ERROR = 13,      /* the driver refused; the text has its errno */
  HLBUF_WIRE_SHUTTING_DOWN = 14      /* the service ends */
};

enum hlbuf_wire_device_state {
  HLBUF_WIRE_DEVICE_ABSENT = 0,
  HLBUF_WIRE_DEVICE_OPENING = 1,
  HLBUF_WIRE_DEVICE_READY = 2,
  HLBUF_WIRE_DEVICE_REVOKING = 3,
  HLBUF_WIRE_DEVICE_CLOSING = 4,
  HLBUF_WIRE_DEVICE_RESETTING = 5,
  HLBUF_WIRE_DEVICE_DRAINED = 6,
  HLBUF_WIRE_DEVICE_FAILED = 7
};

enum hlbuf_wire_revoke_reason {
  HLBUF_WIRE_REVOKE_RESET = 1,    /* the device resets; the buffer's epoch ends */
  HLBUF_WIRE_REVOKE_OPERATOR = 2, /* an operator asked for the buffer, by RevokeBuffers */
  HLBUF_WIRE_REVOKE_UNSHARED = 3, /* the owner took back the SHARE that allowed this lease */
  HLBUF_WIRE_REVOKE_LOST = 4      /* the lease ended while the service was away; deadline 0 */
};

enum hlbuf_wire_grantee_kind { HLBUF_WIRE_GRANTEE_UID = 1, HLBUF_WIRE_GRANTEE_GID = 2 };

enum hlbuf_wire_goodbye_reason {
  HLBUF_WIRE_GOODBYE_SHUTDOWN = 1, /* the service stops */
  HLBUF_WIRE_GOODBYE_PROTOCOL = 2, /* the peer broke the protocol */
  HLBUF_WIRE_GOODBYE_QUOTA = 3,    /* too many sessions of this domain */
  HLBUF_WIRE_GOODBYE_HELLO = 4,    /* no HELLO in time */
  HLBUF_WIRE_GOODBYE_REATTACH = 5  /* REATTACH was refused; its ERROR says why */
};

struct hlbuf_wire_header {
  uint32_t frame_bytes; /* the whole frame; equals the packet's length */
  uint16_t opcode;      /* enum hlbuf_wire_opcode */
  uint16_t fixed_bytes; /* header and fixed part at the sender; trailing bytes follow */
  uint64_t cookie; /* a request's, chosen by the client, never 0, never used twice in a session; its
                      answer repeats it */
};

struct hlbuf_wire_hello {
  struct hlbuf_wire_header header;
  uint32_t version;      /* HLBUF_WIRE_VERSION; another one is answered ERROR UNIMPLEMENTED */
  uint32_t client_bytes; /* trailing: name of the client software, printable ASCII, 0..63 bytes;
                            shown to operators */
  uint64_t features;     /* what the client can do */
};

/* WELCOME and REATTACHED. */
struct hlbuf_wire_welcome {
  struct hlbuf_wire_header header;
  uint32_t version;
  uint32_t batch_max;       /* items in one OPEN, descriptors in one packet */
  uint64_t features;        /* those of HELLO that the daemon has too */
  uint64_t session_id;      /* as operators see it */
  uint32_t frame_bytes_max; /* the largest frame that the daemon takes and sends */
  uint32_t requests_max;    /* read ahead, while earlier ones are unanswered; more wait */
  /* Appended; a frame of 48 fixed bytes has none. Shown once, in the next REATTACH. */
  uint8_t secret[HLBUF_WIRE_SECRET_BYTES];
};

/* The first request of a connection, in place of HELLO. Its parts have the same cookie, session and
 * secret; the last one, without HLBUF_WIRE_REATTACH_MORE, is answered. */
struct hlbuf_wire_reattach {
  struct hlbuf_wire_header header;
  uint32_t version;      /* as in HELLO, as are the next two */
  uint32_t client_bytes; /* trailing, behind leases and cookies */
  uint64_t features;
  uint64_t session_id;
  uint8_t secret[HLBUF_WIRE_SECRET_BYTES];
  uint32_t lease_count;  /* trailing: uint64_t ids of leases that are held */
  uint32_t cookie_count; /* trailing: uint64_t cookies of ALLOCATEs that come again */
  uint32_t flags;        /* HLBUF_WIRE_REATTACH_MORE */
  uint32_t reserved;
};
enum { HLBUF_WIRE_REATTACH_MORE = 1 };

struct hlbuf_wire_allocate {
  struct hlbuf_wire_header header;
  uint64_t size_bytes;   /* rounded up to the device's page; 0 and what does not fit are refused */
  uint64_t flags;        /* none is defined yet */
  uint16_t name_bytes;   /* trailing, in this order: name (0: the buffer has none), */
  uint16_t device_bytes; /* device (0: the only device, or the configured default), */
  uint16_t label_bytes;  /* labels: `key=value`, separated by one NUL byte */
  uint16_t reserved;
  /* Appended; a frame of 40 fixed bytes says 0. For how long the request may wait for a device that
   * is in reset, or not open yet; 0: not at all, UINT32_MAX: as long as it takes. */
  uint32_t wait_ms;
  uint32_t reserved2;
};

/* Fixed part of ALLOCATED; its packet carries one descriptor. */
struct hlbuf_wire_allocated {
  struct hlbuf_wire_header header;
  uint64_t buffer_id;
  uint64_t lease_id;
  uint64_t size_bytes; /* as exported: a multiple of the device's page */
  uint64_t epoch;
  /* Appended; a frame of 48 fixed bytes says 0. The word of the epoch page that has `buffer_id` as
   * long as the buffer is current; 0: there is none, and it is not known to be. */
  uint32_t epoch_slot;
  uint32_t reserved;
};

struct hlbuf_wire_open {
  struct hlbuf_wire_header header;
  uint16_t item_count; /* 1..HLBUF_WIRE_BATCH_MAX items follow, then the names */
  uint16_t item_bytes;
  uint32_t flags; /* none is defined yet */
};

struct hlbuf_wire_open_item {
  uint64_t buffer_id;   /* 0: by name */
  uint32_t name_offset; /* from the first byte after the items */
  uint16_t name_bytes;  /* 0: by id */
  uint16_t reserved;
  uint32_t owner_uid; /* by name: whose buffer; HLBUF_WIRE_OWNER_SELF: of this peer's own domain */
  uint32_t reserved2;
};
#define HLBUF_WIRE_OWNER_SELF UINT32_MAX

/* The packet of OPENED carries one descriptor for each item with status OK, in the order of the
 * items. */
struct hlbuf_wire_opened {
  struct hlbuf_wire_header header;
  uint16_t item_count;
  uint16_t item_bytes;
  uint16_t fd_count;
  uint16_t reserved;
};

struct hlbuf_wire_opened_item {
  uint32_t status;      /* enum hlbuf_wire_status; the fields below it are 0 unless OK */
  uint32_t text_offset; /* reason in words, from the first byte after the items; only when not OK */
  uint16_t text_bytes;
  uint16_t reserved;
  uint32_t reserved2;
  uint64_t buffer_id;
  uint64_t lease_id;
  uint64_t size_bytes;
  uint64_t epoch;
  uint32_t epoch_slot; /* appended; an item of 48 bytes says 0. As in ALLOCATED */
  uint32_t reserved3;
};

/* SHARE and UNSHARE. Answered by a bare header (SHARED, UNSHARED). */
struct hlbuf_wire_share {
  struct hlbuf_wire_header header;
  uint64_t buffer_id;
  uint32_t grantee_kind; /* enum hlbuf_wire_grantee_kind */
  uint32_t grantee;      /* uid or gid; 65534 and (uint32_t)-1 are nobody and refused */
};

/* One-way, and the acknowledgement of a REVOKE: the client has closed these leases' descriptors and
 * mappings. */
struct hlbuf_wire_release {
  struct hlbuf_wire_header header;
  uint32_t lease_count; /* 1..HLBUF_WIRE_LEASES_MAX; trailing: uint64_t lease ids; ids that are not
                           this session's are ignored */
  uint32_t reserved;
};

struct hlbuf_wire_device_list {
  struct hlbuf_wire_header header;
  uint16_t item_count;
  uint16_t item_bytes;
  uint32_t reserved;
};

struct hlbuf_wire_device_item {
  uint64_t epoch;
  uint64_t total_bytes; /* 0: the backend has no bound of its own */
  uint64_t used_bytes;
  uint64_t page_bytes;  /* sizes are rounded up to it */
  uint32_t state;       /* enum hlbuf_wire_device_state */
  uint32_t flags;       /* HLBUF_WIRE_DEVICE_* below */
  uint32_t name_offset; /* from the first byte after the items */
  uint16_t name_bytes;
  uint16_t kind_bytes; /* the kind's text follows the name's: "software", "udmabuf", "dma-heap" */
};
enum {
  HLBUF_WIRE_DEVICE_DEFAULT = 1,  /* what ALLOCATE without a device takes */
  HLBUF_WIRE_DEVICE_CPU_MAP = 2,  /* its buffers can be mmap()ed */
  HLBUF_WIRE_DEVICE_SIMULATED = 4 /* not a dma-buf: the software device */
};

struct hlbuf_wire_revoke {
  struct hlbuf_wire_header header;
  uint32_t reason;               /* enum hlbuf_wire_revoke_reason */
  uint32_t lease_count;          /* struct hlbuf_wire_revoked_lease follows that often */
  uint64_t deadline_boottime_ns; /* CLOCK_BOOTTIME; after it the operator reads this session's name
                                    in the verdict */
  uint32_t item_bytes;
  uint32_t reserved;
};

struct hlbuf_wire_revoked_lease {
  uint64_t lease_id;
  uint64_t buffer_id;
};

struct hlbuf_wire_device {
  struct hlbuf_wire_header header;
  uint64_t epoch;
  uint32_t state;      /* enum hlbuf_wire_device_state */
  uint16_t name_bytes; /* trailing */
  uint16_t reserved;
};

/* PING and PONG; a PONG repeats the nonce. */
struct hlbuf_wire_ping {
  struct hlbuf_wire_header header;
  uint64_t nonce;
};

struct hlbuf_wire_goodbye {
  struct hlbuf_wire_header header;
  uint32_t reason;      /* enum hlbuf_wire_goodbye_reason */
  uint32_t leases_kept; /* 1: reconnect, they are still yours; 0: they end now */
  uint32_t text_bytes;  /* trailing, for people */
  uint32_t reserved;
};

struct hlbuf_wire_error {
  struct hlbuf_wire_header header;
  uint32_t status;     /* enum hlbuf_wire_status, never OK */
  uint32_t text_bytes; /* trailing: what, why, what to do; UTF-8, no control characters, no NUL */
};

/* No implicit padding: a struct written whole carries no stack bytes to a peer. */
static_assert(sizeof(struct hlbuf_wire_header) == 16, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_hello) == 32, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_welcome) == 64, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_reattach) == 72, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_allocate) == 48, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_allocated) == 56, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_open) == 24, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_open_item) == 24, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_opened) == 24, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_opened_item) == 56, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_share) == 32, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_release) == 24, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_device_list) == 24, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_device_item) == 48, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_revoke) == 40, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_revoked_lease) == 16, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_device) == 32, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_ping) == 24, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_goodbye) == 32, "layout is ABI");
static_assert(sizeof(struct hlbuf_wire_error) == 24, "layout is ABI");

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* HLBUF_WIRE_H_ */
