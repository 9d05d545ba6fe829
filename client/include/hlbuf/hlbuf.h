/* SPDX-License-Identifier: Apache-2.0
 *
 * libhlbuf: buffers of an accelerator, as descriptors, from the hl-bufd of this machine.
 *
 *   hlbuf_error error;
 *   hlbuf_client* client;
 *   hlbuf_buffer* weights;
 *   if (hlbuf_connect(NULL, &client, &error) != HLBUF_OK ||
 *       hlbuf_open_name(client, "weights", HLBUF_OWNER_SELF, &weights, &error) != HLBUF_OK)
 *     fprintf(stderr, "%s: %s\n", hlbuf_error_name(error.code), error.text);
 *
 * Results: functions that can fail return HLBUF_OK (0) or the same code that they write to `error`
 * (which may be NULL). On failure they write nothing else but what their comment says.
 *
 * Pointers: a client, a buffer, a struct of options, a name or a place for a result has to be
 * there. NULL is good for `error`, for the `options` of hlbuf_connect(), for what
 * hlbuf_client_close() and hlbuf_buffer_release() free, and where a comment says so.
 *
 * Ownership: strings and structs that you pass are read during the call only. hlbuf_client_close()
 * frees a client, hlbuf_buffer_release() a buffer, in either order.
 *
 * Threads: any thread may call anything at any time; requests of several threads travel together
 * over the one connection. But nothing may use a handle during or after the call that frees it.
 *
 * Time: no call waits longer than the client's timeout. A signal handler does not shorten it.
 *
 * Restarts: when the service dies, is stopped or upgraded, the library reconnects and gets the
 * session back, inside of whatever call waits then: a request, hlbuf_dispatch(), the thread. That
 * takes a free descriptor for a moment. Meanwhile buffers stay as they are, descriptors, mappings
 * and contents; requests that were under way are repeated and answered once; what is released needs
 * no service. Only when it does not come back within reconnect_timeout_ms, or has this session no
 * more, every buffer is revoked with HLBUF_REVOKE_SERVICE_GONE; a lease that ended meanwhile with
 * HLBUF_REVOKE_LOST. A program that waits in no call at all is forgotten after a while.
 *
 * Notices (revocations, device states, the end of the service) are delivered by hlbuf_dispatch() or
 * by the thread of hlbuf_client_start_thread(), and by nothing else: a request that meets a notice
 * while it waits for its answer puts it aside. A program that uses neither does not hear of
 * revocations, and the daemon counts it among those that do not let go.
 *
 * fork(): a child may use neither clients nor buffers of its parent; every call that returns a code
 * fails there with HLBUF_E_FORKED. What a handle tells without the daemon (hlbuf_buffer_fd() and
 * the like) is as it was at fork(), and nobody tells the child of revocations. The child's copies
 * of the descriptors keep the memory alive until they are closed: exec closes them; a child that
 * does not exec calls hlbuf_buffer_release() and hlbuf_client_close(), which close the child's
 * copies and leave the parent alone.
 */
#ifndef HLBUF_HLBUF_H_
#define HLBUF_HLBUF_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HLBUF_API __attribute__((visibility("default")))

/* Published: a code keeps its meaning for ever. 1..99 come from the daemon, 100 and up from this
 * library. Codes that this header does not know are possible, and are failures. */
enum hlbuf_code {
  HLBUF_OK = 0,
  HLBUF_E_INVALID_ARGUMENT = 1,   /* the request makes no sense; the text names the argument */
  HLBUF_E_PROTOCOL_ERROR = 2,     /* the daemon did not understand this library */
  HLBUF_E_NOT_FOUND = 3,          /* no such buffer or device, or none that you may know of */
  HLBUF_E_GONE = 4,               /* the buffer was; the text says what became of it */
  HLBUF_E_PERMISSION_DENIED = 5,  /* policy refused; the text names the rule */
  HLBUF_E_ALREADY_EXISTS = 6,     /* you have a buffer of that name */
  HLBUF_E_QUOTA_EXCEEDED = 7,     /* a limit of yours or of the service; the text names it */
  HLBUF_E_NO_MEMORY = 8,          /* the device has no room for it */
  HLBUF_E_DEVICE_UNAVAILABLE = 9, /* in reset, drained or failed; a device notice tells the rest */
  HLBUF_E_REVOKED = 10,           /* a revocation of the buffer is under way */
  HLBUF_E_BUSY = 11,              /* too many descriptors are on their way to peers; try again */
  HLBUF_E_UNIMPLEMENTED = 12,     /* this daemon cannot do that */
  HLBUF_E_DEVICE_ERROR = 13,      /* the driver refused; the text has its errno */
  HLBUF_E_SHUTTING_DOWN = 14,     /* the service ends */
  HLBUF_E_CANNOT_CONNECT = 100,   /* no service at that socket, or no permission to reach it */
  HLBUF_E_SERVICE_GONE = 101,     /* the session is over: connect again, allocate or open again */
  HLBUF_E_TIMED_OUT = 102,        /* no answer in time; what it would have granted is given back */
  HLBUF_E_NO_DESCRIPTORS = 103,   /* no free descriptors, here (RLIMIT_NOFILE) or in the system */
  HLBUF_E_BAD_REPLY = 104,        /* the daemon broke the protocol; the session is over */
  HLBUF_E_FORKED = 105,           /* the handle belongs to the parent process */
  HLBUF_E_OUT_OF_MEMORY = 106,    /* malloc() failed in this process */
  HLBUF_E_SYSTEM = 107            /* a system call failed here; the text has its errno */
};

#define HLBUF_ERROR_TEXT_BYTES 252

typedef struct hlbuf_error {
  int32_t code;                      /* enum hlbuf_code */
  char text[HLBUF_ERROR_TEXT_BYTES]; /* for people: what, why, what to do; always ends in NUL */
} hlbuf_error;

/* "NOT_FOUND" for HLBUF_E_NOT_FOUND, "OK" for 0, "UNKNOWN" for what this library does not know. */
HLBUF_API const char* hlbuf_error_name(int code);

/* "0.1.0": of the library that is loaded, not of this header. */
HLBUF_API const char* hlbuf_version(void);

typedef struct hlbuf_client hlbuf_client; /* one session with the daemon */
typedef struct hlbuf_buffer hlbuf_buffer; /* one lease of a buffer, with its descriptor */

/* ---- Notices ---------------------------------------------------------------------------------*/

enum hlbuf_revoke_reason {
  HLBUF_REVOKE_RESET = 1,         /* the device resets; the contents are lost */
  HLBUF_REVOKE_OPERATOR = 2,      /* an operator asks for the buffer */
  HLBUF_REVOKE_UNSHARED = 3,      /* the owner took its SHARE back */
  HLBUF_REVOKE_LOST = 4,          /* the lease ended while the service was away; deadline 0 */
  HLBUF_REVOKE_SERVICE_GONE = 100 /* the session ended, and the lease with it */
};

enum hlbuf_revoke_answer {
  /* Mappings and registrations of the buffer are gone: the library closes the descriptor and tells
   * the daemon. */
  HLBUF_REVOKE_RELEASE = 0,
  /* It takes longer: the program calls hlbuf_buffer_release() itself, before the deadline, which
   * another revocation can move forward. */
  HLBUF_REVOKE_KEEP = 1
};

typedef struct hlbuf_revocation {
  hlbuf_buffer* buffer; /* good during the callback, even if another thread releases it meanwhile */
  uint64_t buffer_id;
  uint64_t lease_id;
  uint32_t reason; /* enum hlbuf_revoke_reason, or a later daemon's */
  uint32_t reserved;
  uint64_t deadline_boottime_ns; /* CLOCK_BOOTTIME; 0 with HLBUF_REVOKE_SERVICE_GONE and
                                    HLBUF_REVOKE_LOST. After it the operator reads this session's
                                    name among those who hold */
} hlbuf_revocation;

enum hlbuf_device_state {
  HLBUF_DEVICE_ABSENT = 0,
  HLBUF_DEVICE_OPENING = 1,
  HLBUF_DEVICE_READY = 2,
  HLBUF_DEVICE_REVOKING = 3,
  HLBUF_DEVICE_CLOSING = 4,
  HLBUF_DEVICE_RESETTING = 5,
  HLBUF_DEVICE_DRAINED = 6,
  HLBUF_DEVICE_FAILED = 7
};

typedef struct hlbuf_device_event {
  const char* device; /* its name; good during the callback */
  uint32_t state;     /* enum hlbuf_device_state, or a later daemon's */
  uint32_t reserved;
  uint64_t epoch; /* counts the resets of the device */
} hlbuf_device_event;

enum hlbuf_goodbye_reason {
  HLBUF_GOODBYE_SHUTDOWN = 1,          /* the service stops, and keeps nothing */
  HLBUF_GOODBYE_PROTOCOL = 2,          /* the daemon could not read what this side sent */
  HLBUF_GOODBYE_QUOTA = 3,             /* too many sessions */
  HLBUF_GOODBYE_HELLO = 4,             /* this side was too slow to say hello */
  HLBUF_GOODBYE_REATTACH = 5,          /* the service came back, and has this session no more */
  HLBUF_GOODBYE_CONNECTION_LOST = 100, /* the daemon died, and did not come back in time */
  HLBUF_GOODBYE_BAD_REPLY = 101        /* this library could not read what the daemon sent */
};

typedef struct hlbuf_goodbye {
  uint32_t reason;      /* enum hlbuf_goodbye_reason, or a later daemon's */
  uint32_t leases_kept; /* 1: the daemon kept the leases, but this client does not reconnect */
  const char* text;     /* for people; good during the callback */
} hlbuf_goodbye;

/* A restart of the service: leases and buffers outlive it, and a program need not do anything. */
enum hlbuf_service_state {
  HLBUF_SERVICE_AWAY = 1, /* the connection is lost; requests wait until the service is back, or
                             until they time out */
  HLBUF_SERVICE_BACK = 2  /* it is back, with everything that this session had and has not been
                             told otherwise */
};

/* Callbacks run in hlbuf_dispatch() or in the library's thread, without any lock held, never inside
 * another call. They may call everything but hlbuf_client_close(). Any of them may be NULL. */
typedef struct hlbuf_callbacks {
  /* By the time it returns HLBUF_REVOKE_RELEASE, the program must have let go of everything that it
   * made of the descriptor: mappings, registrations, duplicates. The handle stays valid (its
   * descriptor is -1 then) until hlbuf_buffer_release(). The answers to one notice are sent
   * together: who takes long answers HLBUF_REVOKE_KEEP.
   *
   * Once per lease, and again for one that was kept, whenever its deadline moves forward: the
   * device resets before the operator's time is over, or the session ends.
   *
   * Without this callback nothing is released for the program, because nobody can say whether it
   * still maps the buffer: it has to ask hlbuf_buffer_is_revoked(). */
  enum hlbuf_revoke_answer (*on_revoke)(void* context, const hlbuf_revocation* revocation);
  /* A state that was overtaken before it could be delivered is left out. */
  void (*on_device)(void* context, const hlbuf_device_event* event);
  /* Once, when the session is over; on_revoke follows for every buffer still held. Not for a
   * restart of the service, unless it does not come back in time, or without this session. */
  void (*on_goodbye)(void* context, const hlbuf_goodbye* goodbye);
  void* context; /* handed to all of them */
  /* For programs that want to say so. What was overtaken before it could be delivered is left out:
   * a restart that nobody waited for may go unnoticed. `state` is enum hlbuf_service_state. */
  void (*on_service)(void* context, uint32_t state);
} hlbuf_callbacks;

/* ---- Sessions --------------------------------------------------------------------------------*/

/* For hlbuf_connect_options.reconnect_timeout_ms. */
#define HLBUF_NO_RECONNECT INT32_MIN

/* All zero but struct_bytes is fine. A struct of a later header is taken as long as the fields that
 * this library does not know are zero. */
typedef struct hlbuf_connect_options {
  size_t struct_bytes;     /* sizeof(hlbuf_connect_options) */
  const char* socket_path; /* NULL: $HLBUF_SOCKET, or else /run/hl-bufd/client/buf.sock */
  const char* client_name; /* shown to operators: printable ASCII, at most 63 bytes; other bytes
                              become '?', more are cut off. NULL: the program's name */
  int32_t timeout_ms;      /* of every call; connecting is one. 0: 30 s; -1: wait for ever */
  /* For how long the service may be away, after it died or while it restarts, until the session is
   * given up. 0: 90 s; -1: as long as it takes; HLBUF_NO_RECONNECT: it is given up at once. */
  int32_t reconnect_timeout_ms;
  hlbuf_callbacks callbacks;
} hlbuf_connect_options;

/* Opens a session. `options` may be NULL. The daemon sees uid, gid and process as they are now.
 * When the service restarts at that moment, it is tried again.
 *
 * Errors: CANNOT_CONNECT, TIMED_OUT, INVALID_ARGUMENT, QUOTA_EXCEEDED (too many sessions),
 *         UNIMPLEMENTED (the daemon speaks another version), NO_DESCRIPTORS, SERVICE_GONE,
 *         BAD_REPLY, SYSTEM, OUT_OF_MEMORY */
HLBUF_API int hlbuf_connect(const hlbuf_connect_options* options, hlbuf_client** ret_client,
                            hlbuf_error* error);

/* Ends the session and every lease of it: descriptors of buffers still held are closed, without
 * callbacks. Their handles stay valid until released, their mappings must be gone. Stops the
 * library's thread first. Not inside a callback; NULL is fine. */
HLBUF_API void hlbuf_client_close(hlbuf_client* client);

/* How long each later call may take: -1 for ever, 0 the default of 30 s. */
HLBUF_API void hlbuf_client_set_timeout(hlbuf_client* client, int32_t timeout_ms);

/* The session's number as operators see it. */
HLBUF_API uint64_t hlbuf_client_session_id(const hlbuf_client* client);

/* A descriptor for poll() or epoll: readable when hlbuf_dispatch() has something to do. Borrowed,
 * always the same one, good until hlbuf_client_close(). -1 with `error` NO_DESCRIPTORS, SYSTEM or
 * FORKED. */
HLBUF_API int hlbuf_client_fd(hlbuf_client* client, hlbuf_error* error);

/* Delivers the notices that are there; when there are none, waits up to `timeout_ms` (0: not at
 * all, -1: for ever) for one. Also what keeps the connection alive in a program that makes no
 * requests: it answers the daemon's PING. May return early without a notice.
 *
 * Needs no descriptor beside the socket's, but for a moment to reconnect; without a free one, what
 * another thread read is delivered up to 10 ms later.
 *
 * Errors: SERVICE_GONE (the session is over and every notice has been delivered), FORKED */
HLBUF_API int hlbuf_dispatch(hlbuf_client* client, int32_t timeout_ms, hlbuf_error* error);

/* Starts a thread that dispatches until the session ends or the client is closed, with all signals
 * blocked. A second start does nothing.
 *
 * Errors: SYSTEM, FORKED */
HLBUF_API int hlbuf_client_start_thread(hlbuf_client* client, hlbuf_error* error);

/* ---- Buffers ---------------------------------------------------------------------------------
 *
 * All requests below can also fail with TIMED_OUT, SERVICE_GONE, BAD_REPLY, FORKED, SHUTTING_DOWN,
 * OUT_OF_MEMORY and SYSTEM. */

typedef struct hlbuf_allocate_options {
  size_t struct_bytes; /* sizeof(hlbuf_allocate_options) */
  uint64_t size_bytes; /* rounded up to the device's page */
  const char* name;    /* NULL: none; else 1..63 bytes of [A-Za-z0-9._/-], unique among yours */
  const char* device;  /* NULL: the default one */
  const char* const* labels; /* label_count texts "key=value" */
  size_t label_count;        /* at most 8, 256 bytes together */
  uint32_t wait_for_device;  /* 1: through a reset of the device, and until it opens, the call waits
                                nearly as long as the client's timeout; then DEVICE_UNAVAILABLE says
                                why. 0: DEVICE_UNAVAILABLE at once, as from a daemon that cannot
                                wait */
  uint32_t reserved;         /* 0 */
} hlbuf_allocate_options;

/* Allocates a buffer and leases it.
 *
 * Errors: INVALID_ARGUMENT, ALREADY_EXISTS, QUOTA_EXCEEDED, NO_MEMORY, NOT_FOUND (device),
 *         PERMISSION_DENIED, DEVICE_UNAVAILABLE, DEVICE_ERROR, BUSY, NO_DESCRIPTORS */
HLBUF_API int hlbuf_allocate(hlbuf_client* client, const hlbuf_allocate_options* options,
                             hlbuf_buffer** ret_buffer, hlbuf_error* error);

#define HLBUF_OWNER_SELF UINT32_MAX
#define HLBUF_OPEN_MAX 253

/* Leases a buffer that exists. Each open is a lease of its own, with its own descriptor.
 *
 * Errors: NOT_FOUND, GONE, PERMISSION_DENIED, QUOTA_EXCEEDED, REVOKED, DEVICE_UNAVAILABLE, BUSY,
 *         INVALID_ARGUMENT, NO_DESCRIPTORS */
HLBUF_API int hlbuf_open_id(hlbuf_client* client, uint64_t buffer_id, hlbuf_buffer** ret_buffer,
                            hlbuf_error* error);

/* As hlbuf_open_id(). `owner_uid` is the uid of whose buffer it is; HLBUF_OWNER_SELF: your own. */
HLBUF_API int hlbuf_open_name(hlbuf_client* client, const char* name, uint32_t owner_uid,
                              hlbuf_buffer** ret_buffer, hlbuf_error* error);

typedef struct hlbuf_open_item {
  uint64_t buffer_id; /* 0: by name */
  const char* name;   /* NULL: by id */
  uint32_t owner_uid; /* by name: as in hlbuf_open_name() */
  uint32_t reserved;  /* 0 */
} hlbuf_open_item;

typedef struct hlbuf_open_result {
  hlbuf_buffer* buffer; /* yours; NULL when error.code is not HLBUF_OK */
  hlbuf_error error;
} hlbuf_open_result;

/* Leases 1..HLBUF_OPEN_MAX buffers by one message. HLBUF_OK means that every item was answered:
 * results[i] has the outcome of items[i]. Else nothing is leased, and `results` has no buffer.
 *
 * Errors of the whole: QUOTA_EXCEEDED, BUSY, INVALID_ARGUMENT, NO_DESCRIPTORS */
HLBUF_API int hlbuf_open_many(hlbuf_client* client, const hlbuf_open_item* items, size_t count,
                              hlbuf_open_result* results, hlbuf_error* error);

/* Closes the descriptor, gives the lease back and frees the handle. Mappings and registrations must
 * be gone. Never fails, and does not wait for the daemon; but the last close of a dma-buf takes as
 * long as its driver does. NULL is fine. */
HLBUF_API void hlbuf_buffer_release(hlbuf_buffer* buffer);

/* The same for many, with a message for up to 1024 of them; entries may be NULL. */
HLBUF_API void hlbuf_buffers_release(hlbuf_buffer* const* buffers, size_t count);

/* Borrowed, close-on-exec: a dma-buf, or a memfd when the device is simulated. -1 once it was
 * taken, or released after a revocation: as soon as that was answered HLBUF_REVOKE_RELEASE. */
HLBUF_API int hlbuf_buffer_fd(const hlbuf_buffer* buffer);
/* The same, but the descriptor is yours from now on: close it before the buffer is released. */
HLBUF_API int hlbuf_buffer_take_fd(hlbuf_buffer* buffer);

HLBUF_API uint64_t hlbuf_buffer_id(const hlbuf_buffer* buffer);       /* never used again */
HLBUF_API uint64_t hlbuf_buffer_lease_id(const hlbuf_buffer* buffer); /* of this grant */
HLBUF_API uint64_t hlbuf_buffer_size_bytes(const hlbuf_buffer* buffer);
HLBUF_API uint64_t hlbuf_buffer_epoch(const hlbuf_buffer* buffer); /* life of the device */

/* True as soon as this library read a revocation or the end of the session; one atomic load. */
HLBUF_API bool hlbuf_buffer_is_revoked(const hlbuf_buffer* buffer);

/* For caches, by (buffer id, epoch), of what was made of a buffer: whether an entry is still good.
 * One load of memory that the daemon shares with its clients: no lock, system call or dispatch.
 * False, for ever, once any client was told of a reset, or that an operator asks for the buffer,
 * and once this one has read that its lease is over. It is advice: it can be over by the time that
 * it is used, and stands still while the service is away, until this client has it back. Where the
 * memory cannot be mapped: false. From a daemon without it: !hlbuf_buffer_is_revoked(). */
HLBUF_API bool hlbuf_buffer_is_current(const hlbuf_buffer* buffer);

/* A pointer of yours, NULL at first, that the library only keeps. */
HLBUF_API void hlbuf_buffer_set_context(hlbuf_buffer* buffer, void* context);
HLBUF_API void* hlbuf_buffer_context(const hlbuf_buffer* buffer);

enum hlbuf_grantee_kind { HLBUF_GRANTEE_UID = 1, HLBUF_GRANTEE_GID = 2 };

/* Allows every process of a uid or gid to open a buffer of yours. Twice is once.
 *
 * Errors: NOT_FOUND, GONE, PERMISSION_DENIED (not yours), QUOTA_EXCEEDED, INVALID_ARGUMENT */
HLBUF_API int hlbuf_share(hlbuf_client* client, uint64_t buffer_id, enum hlbuf_grantee_kind kind,
                          uint32_t grantee, hlbuf_error* error);
/* Takes it back: leases that only this SHARE allowed are revoked.
 *
 * Errors: as hlbuf_share(). Taking back what was not shared succeeds. */
HLBUF_API int hlbuf_unshare(hlbuf_client* client, uint64_t buffer_id, enum hlbuf_grantee_kind kind,
                            uint32_t grantee, hlbuf_error* error);

/* ---- Devices ---------------------------------------------------------------------------------*/

enum {
  HLBUF_DEVICE_DEFAULT = 1,  /* what hlbuf_allocate() without a device takes */
  HLBUF_DEVICE_CPU_MAP = 2,  /* its buffers can be mapped by mmap() */
  HLBUF_DEVICE_SIMULATED = 4 /* memory of the host, not a dma-buf */
};

typedef struct hlbuf_device {
  char name[64];
  char kind[64]; /* "software", "udmabuf", "dma-heap", ... */
  uint64_t epoch;
  uint64_t total_bytes; /* 0: no bound of its own */
  uint64_t used_bytes;
  uint64_t page_bytes; /* sizes are rounded up to it */
  uint32_t state;      /* enum hlbuf_device_state, or a later daemon's */
  uint32_t flags;      /* HLBUF_DEVICE_DEFAULT, ... */
  uint64_t reserved[4];
} hlbuf_device;

/* Fills at most `capacity` devices; *ret_count is how many the daemon has, which may be more. */
HLBUF_API int hlbuf_devices(hlbuf_client* client, hlbuf_device* devices, size_t capacity,
                            size_t* ret_count, hlbuf_error* error);

/* "RESET" for HLBUF_REVOKE_RESET, "READY" for HLBUF_DEVICE_READY, "SHUTDOWN" for
 * HLBUF_GOODBYE_SHUTDOWN; "UNKNOWN" for what this library does not know. */
HLBUF_API const char* hlbuf_revoke_reason_name(uint32_t reason);
HLBUF_API const char* hlbuf_device_state_name(uint32_t state);
HLBUF_API const char* hlbuf_goodbye_reason_name(uint32_t reason);

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* HLBUF_HLBUF_H_ */
