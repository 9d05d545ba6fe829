/* SPDX-License-Identifier: Apache-2.0 */
#include "client/src/packet.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the frames are little-endian and are read in place"
#endif

/* cmsg_len decides, never an expected count: padding can bring one descriptor more. */
static void adopt(struct msghdr* message, struct hlbuf_packet* packet) {
  for (struct cmsghdr* c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      if (packet->fd_count < sizeof(packet->fds) / sizeof(packet->fds[0]))
        packet->fds[packet->fd_count++] = fd;
      else
        close(fd);
    }
  }
}

enum hlbuf_received hlbuf_packet_receive(int socket, struct hlbuf_packet* packet, int flags) {
  struct iovec iov = {.iov_base = packet->data, .iov_len = sizeof(packet->data)};
  struct msghdr message = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = packet->control,
                           .msg_controllen = sizeof(packet->control)};
  packet->fd_count = 0;
  ssize_t n = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  /* A peer that closed with our packets unread gives ECONNRESET, once, in front of what it sent. */
  if (n < 0 && errno == ECONNRESET) n = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  if (n < 0) return errno == EAGAIN || errno == EINTR ? HLBUF_RECEIVED_NOTHING : HLBUF_RECEIVED_END;
  adopt(&message, packet);
  packet->bytes = (size_t)n;
  packet->bytes_cut = (message.msg_flags & MSG_TRUNC) != 0;
  packet->fds_cut = (message.msg_flags & MSG_CTRUNC) != 0;
  /* An empty packet looks the same as the end, and no peer that knows the protocol sends one. */
  if (n == 0) {
    hlbuf_packet_close_fds(packet);
    return HLBUF_RECEIVED_END;
  }
  return HLBUF_RECEIVED_PACKET;
}

int hlbuf_packet_take_fd(struct hlbuf_packet* packet, size_t index) {
  const int fd = packet->fds[index];
  packet->fds[index] = -1;
  return fd;
}

void hlbuf_packet_close_fds(struct hlbuf_packet* packet) {
  for (size_t i = 0; i < packet->fd_count; ++i)
    if (packet->fds[i] >= 0) close(packet->fds[i]);
  packet->fd_count = 0;
}

bool hlbuf_packet_header(const struct hlbuf_packet* packet, struct hlbuf_wire_header* header) {
  if (packet->bytes_cut || packet->bytes < sizeof(*header)) return false;
  memcpy(header, packet->data, sizeof(*header));
  return header->frame_bytes == packet->bytes && header->fixed_bytes >= sizeof(*header) &&
         header->fixed_bytes <= packet->bytes && header->fixed_bytes % 8 == 0;
}

static size_t fixed_bytes(const struct hlbuf_packet* packet) {
  struct hlbuf_wire_header header;
  memcpy(&header, packet->data, sizeof(header));
  return header.fixed_bytes;
}

bool hlbuf_packet_fixed(const struct hlbuf_packet* packet, void* fixed, size_t bytes) {
  if (fixed_bytes(packet) < bytes) return false;
  memcpy(fixed, packet->data, bytes);
  return true;
}

bool hlbuf_packet_grown(const struct hlbuf_packet* packet, void* fixed, size_t bytes,
                        size_t least_bytes) {
  const size_t there = fixed_bytes(packet);
  if (there < least_bytes) return false;
  memset(fixed, 0, bytes);
  memcpy(fixed, packet->data, there < bytes ? there : bytes);
  return true;
}

struct hlbuf_span hlbuf_packet_trailing(const struct hlbuf_packet* packet) {
  const size_t fixed = fixed_bytes(packet);
  return (struct hlbuf_span){packet->data + fixed, packet->bytes - fixed};
}

bool hlbuf_packet_items(const struct hlbuf_packet* packet, size_t count, size_t item_bytes,
                        size_t known_bytes, struct hlbuf_items* items) {
  const struct hlbuf_span trailing = hlbuf_packet_trailing(packet);
  if (item_bytes < known_bytes || item_bytes % 8 != 0) return false;
  if (count > trailing.count / item_bytes) return false;
  const size_t array_bytes = count * item_bytes;
  items->first = trailing.bytes;
  items->item_bytes = item_bytes;
  items->texts = (struct hlbuf_span){trailing.bytes + array_bytes, trailing.count - array_bytes};
  return true;
}

void hlbuf_items_copy(const struct hlbuf_items* items, size_t index, void* item, size_t bytes) {
  memset(item, 0, bytes);
  memcpy(item, items->first + index * items->item_bytes,
         items->item_bytes < bytes ? items->item_bytes : bytes);
}

bool hlbuf_span_cut(struct hlbuf_span whole, size_t offset, size_t bytes, struct hlbuf_span* part) {
  if (offset > whole.count || bytes > whole.count - offset) return false;
  *part = (struct hlbuf_span){whole.bytes + offset, bytes};
  return true;
}
