/* SPDX-License-Identifier: Apache-2.0
 *
 * What the examples share. */
#ifndef HLBUF_CLIENT_EXAMPLES_EXAMPLE_H_
#define HLBUF_CLIENT_EXAMPLES_EXAMPLE_H_

#include <errno.h>
#include <linux/dma-buf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>

#include "hlbuf/hlbuf.h"

/* The CPU is about to use a mapped dma-buf (DMA_BUF_SYNC_START), or has (DMA_BUF_SYNC_END); `how`
 * is DMA_BUF_SYNC_READ or DMA_BUF_SYNC_WRITE. Other memory refuses the ioctl, and needs none. */
static inline void cpu_access(int fd, uint64_t edge, uint64_t how) {
  struct dma_buf_sync sync = {.flags = edge | how};
  while (ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync) != 0 && (errno == EINTR || errno == EAGAIN)) {
  }
}

_Noreturn static inline void die(const hlbuf_error* error) {
  fprintf(stderr, "%s: %s\n", hlbuf_error_name(error->code), error->text);
  exit(1);
}

static inline void print_revocation(const hlbuf_revocation* revocation) {
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  const int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
  const int64_t deadline_ms = (int64_t)(revocation->deadline_boottime_ns / 1000000);
  printf("revoked: buffer %llx, %s, %lld ms left\n", (unsigned long long)revocation->buffer_id,
         hlbuf_revoke_reason_name(revocation->reason),
         (long long)(deadline_ms > now_ms ? deadline_ms - now_ms : 0));
}

#endif /* HLBUF_CLIENT_EXAMPLES_EXAMPLE_H_ */
