/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole life of a buffer, in C, against a daemon on a thread: what the build with a C compiler
 * alone can test. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "hlbuf/hlbuf.h"
#include "proto/hlbuf_wire.h"

static void fail(const char* file, int line, const char* what) {
  fprintf(stderr, "%s:%d: expected %s\n", file, line, what);
  exit(1);
}
#define EXPECT(condition)                                   \
  do {                                                      \
    if (!(condition)) fail(__FILE__, __LINE__, #condition); \
  } while (0)

struct daemon {
  char directory[64];
  struct sockaddr_un address;
  int listener;
  int session;
  pthread_t thread;
  uint8_t frame[HLBUF_WIRE_FRAME_BYTES_MAX];
};

static void receive(struct daemon* daemon, uint16_t opcode, void* fixed, size_t bytes) {
  struct hlbuf_wire_header header;
  const ssize_t n = recv(daemon->session, daemon->frame, sizeof(daemon->frame), 0);
  EXPECT(n >= (ssize_t)bytes);
  memcpy(&header, daemon->frame, sizeof(header));
  EXPECT(header.opcode == opcode);
  EXPECT(header.frame_bytes == (uint32_t)n);
  memcpy(fixed, daemon->frame, bytes);
}

static void send_frame(struct daemon* daemon, const void* frame, size_t bytes, int fd) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  memset(&control, 0, sizeof(control));
  struct iovec iov = {.iov_base = (void*)frame, .iov_len = bytes};
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = &control;
    message.msg_controllen = sizeof(control);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
  }
  EXPECT(sendmsg(daemon->session, &message, MSG_NOSIGNAL) == (ssize_t)bytes);
}

static struct hlbuf_wire_header header_of(uint16_t opcode, size_t bytes, uint64_t cookie) {
  return (struct hlbuf_wire_header){.frame_bytes = (uint32_t)bytes,
                                    .opcode = opcode,
                                    .fixed_bytes = (uint16_t)bytes,
                                    .cookie = cookie};
}

static void greet(struct daemon* daemon) {
  struct hlbuf_wire_hello hello;
  receive(daemon, HLBUF_WIRE_HELLO, &hello, sizeof(hello));
  const struct hlbuf_wire_welcome welcome = {
      .header = header_of(HLBUF_WIRE_WELCOME, sizeof(welcome), hello.header.cookie),
      .version = HLBUF_WIRE_VERSION,
      .batch_max = HLBUF_WIRE_BATCH_MAX};
  send_frame(daemon, &welcome, sizeof(welcome), -1);
}

static void grant(struct daemon* daemon) {
  struct hlbuf_wire_allocate request;
  receive(daemon, HLBUF_WIRE_ALLOCATE, &request, sizeof(request));
  const int memory = memfd_create("fake-buffer", MFD_CLOEXEC);
  EXPECT(memory >= 0 && ftruncate(memory, 4096) == 0);
  const struct hlbuf_wire_allocated answer = {
      .header = header_of(HLBUF_WIRE_ALLOCATED, sizeof(answer), request.header.cookie),
      .buffer_id = 7,
      .lease_id = 8,
      .size_bytes = 4096,
      .epoch = 1};
  send_frame(daemon, &answer, sizeof(answer), memory);
  close(memory);
}

static void ask_back(struct daemon* daemon) {
  struct {
    struct hlbuf_wire_revoke fixed;
    struct hlbuf_wire_revoked_lease lease;
  } notice = {.fixed = {.header = header_of(HLBUF_WIRE_REVOKE, sizeof(notice.fixed), 0),
                        .reason = HLBUF_WIRE_REVOKE_RESET,
                        .lease_count = 1,
                        .deadline_boottime_ns = 1,
                        .item_bytes = sizeof(notice.lease)},
              .lease = {.lease_id = 8, .buffer_id = 7}};
  notice.fixed.header.frame_bytes = sizeof(notice);
  send_frame(daemon, &notice, sizeof(notice), -1);
  struct hlbuf_wire_release release;
  receive(daemon, HLBUF_WIRE_RELEASE, &release, sizeof(release));
  uint64_t lease;
  memcpy(&lease, daemon->frame + sizeof(release), sizeof(lease));
  EXPECT(release.lease_count == 1 && lease == 8);
}

static void* serve(void* argument) {
  struct daemon* daemon = argument;
  const struct timeval patience = {.tv_sec = 30};
  daemon->session = accept4(daemon->listener, NULL, NULL, SOCK_CLOEXEC);
  EXPECT(daemon->session >= 0);
  setsockopt(daemon->session, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  greet(daemon);
  grant(daemon);
  ask_back(daemon);
  close(daemon->session);
  return NULL;
}

static void start(struct daemon* daemon) {
  strcpy(daemon->directory, "/tmp/hlbuf-c11.XXXXXX");
  EXPECT(mkdtemp(daemon->directory) != NULL);
  daemon->address.sun_family = AF_UNIX;
  snprintf(daemon->address.sun_path, sizeof(daemon->address.sun_path), "%s/buf.sock",
           daemon->directory);
  daemon->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  EXPECT(bind(daemon->listener, (struct sockaddr*)&daemon->address, sizeof(daemon->address)) == 0);
  EXPECT(listen(daemon->listener, 1) == 0);
  EXPECT(pthread_create(&daemon->thread, NULL, serve, daemon) == 0);
}

static void stop(struct daemon* daemon) {
  pthread_join(daemon->thread, NULL);
  close(daemon->listener);
  unlink(daemon->address.sun_path);
  rmdir(daemon->directory);
}

struct told {
  int revocations;
  int goodbyes;
};

static enum hlbuf_revoke_answer on_revoke(void* context, const hlbuf_revocation* revocation) {
  struct told* told = context;
  ++told->revocations;
  EXPECT(revocation->lease_id == 8 && revocation->reason == HLBUF_REVOKE_RESET);
  return HLBUF_REVOKE_RELEASE;
}

static void on_goodbye(void* context, const hlbuf_goodbye* goodbye) {
  struct told* told = context;
  ++told->goodbyes;
  EXPECT(goodbye->reason == HLBUF_GOODBYE_CONNECTION_LOST);
}

static void use_memory(const hlbuf_buffer* buffer) {
  char* bytes = mmap(NULL, hlbuf_buffer_size_bytes(buffer), PROT_READ | PROT_WRITE, MAP_SHARED,
                     hlbuf_buffer_fd(buffer), 0);
  EXPECT(bytes != MAP_FAILED);
  bytes[0] = 'x';
  munmap(bytes, hlbuf_buffer_size_bytes(buffer));
}

int main(void) {
  static struct daemon daemon;
  struct told told = {0};
  hlbuf_error error;
  hlbuf_client* client = NULL;
  hlbuf_buffer* buffer = NULL;
  start(&daemon);
  const hlbuf_connect_options options = {
      .struct_bytes = sizeof(options),
      .socket_path = daemon.address.sun_path,
      .client_name = "c11_test",
      .callbacks = {.on_revoke = on_revoke, .on_goodbye = on_goodbye, .context = &told}};
  EXPECT(hlbuf_connect(&options, &client, &error) == HLBUF_OK);
  const hlbuf_allocate_options wanted = {.struct_bytes = sizeof(wanted), .size_bytes = 100};
  EXPECT(hlbuf_allocate(client, &wanted, &buffer, &error) == HLBUF_OK);
  EXPECT(hlbuf_buffer_id(buffer) == 7);
  use_memory(buffer);
  while (hlbuf_dispatch(client, 30000, &error) == HLBUF_OK) {
  }
  EXPECT(error.code == HLBUF_E_SERVICE_GONE);
  EXPECT(told.revocations == 1 && told.goodbyes == 1);
  EXPECT(hlbuf_buffer_fd(buffer) == -1 && hlbuf_buffer_is_revoked(buffer));
  EXPECT(!hlbuf_buffer_is_current(buffer));
  EXPECT(hlbuf_allocate(client, &wanted, &buffer, &error) == HLBUF_E_SERVICE_GONE);
  hlbuf_buffer_release(buffer);
  hlbuf_client_close(client);
  stop(&daemon);
  return 0;
}
