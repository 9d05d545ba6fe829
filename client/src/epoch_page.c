/* SPDX-License-Identifier: Apache-2.0 */
#include "client/src/epoch_page.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "client/src/client.h"

enum { PAGE_BYTES_MAX = 64 << 20, WORD_BYTES = sizeof(uint64_t) };

static const struct hlbuf_epoch_mapping* newest(const struct hlbuf_epoch_page* page) {
  return page->mapped ? &page->mappings[page->mapping_count - 1] : NULL;
}

/* Memory that nobody can take away from under its mappings: with a size that is sealed, and of a
 * tmpfs, which does not run out of huge pages. */
static bool is_page(int fd, const struct stat* stat, const struct statfs* fs) {
  const off_t least = (HLBUF_WIRE_EPOCH_FIRST_SLOT + 1) * WORD_BYTES;
  const int seals = fcntl(fd, F_GET_SEALS);
  return S_ISREG(stat->st_mode) && stat->st_size >= least && stat->st_size <= PAGE_BYTES_MAX &&
         stat->st_size % WORD_BYTES == 0 && seals >= 0 && (seals & F_SEAL_SHRINK) != 0 &&
         fs->f_type == TMPFS_MAGIC;
}

/* Without words: it cannot be mapped. `at`: in the place of what is there; or NULL. */
static struct hlbuf_epoch_mapping map(int fd, size_t count, const void* at) {
  const int flags = MAP_SHARED | (at != NULL ? MAP_FIXED : 0);
  void* words = mmap((void*)at, count * WORD_BYTES, PROT_READ, flags, fd, 0);
  return (struct hlbuf_epoch_mapping){.words = words == MAP_FAILED ? NULL : words, .count = count};
}

static void unmap(const struct hlbuf_epoch_mapping* mapping) {
  (void)munmap((void*)mapping->words, mapping->count * WORD_BYTES);
}

/* `fresh` is the same mapped elsewhere, where it was looked at first. */
static void keep(struct hlbuf_epoch_page* page, int fd, struct hlbuf_epoch_mapping fresh) {
  const size_t count = page->mapping_count;
  const struct hlbuf_epoch_mapping* last = count > 0 ? &page->mappings[count - 1] : NULL;
  const bool replaces = last != NULL && last->count == fresh.count;
  if (replaces && map(fd, last->count, last->words).words != NULL) {
    unmap(&fresh);
    page->mapped = true;
  } else if (count < HLBUF_EPOCH_MAPPINGS_MAX) {
    page->mappings[page->mapping_count++] = fresh;
    page->mapped = true;
  } else {
    unmap(&fresh);
  }
}

/* False when it is no epoch page. What cannot be looked at or mapped here, as in a sandbox, is not
 * the daemon's fault. */
static bool take(struct hlbuf_epoch_page* page, int fd) {
  struct stat stat;
  struct statfs fs;
  if (fstat(fd, &stat) != 0 || fstatfs(fd, &fs) != 0) {
    page->mapped = false;
    return true;
  }
  if (!is_page(fd, &stat, &fs)) return false;
  if (page->mapped && stat.st_dev == page->device && stat.st_ino == page->inode) return true;
  page->mapped = false;
  page->device = stat.st_dev;
  page->inode = stat.st_ino;
  const struct hlbuf_epoch_mapping fresh = map(fd, (size_t)stat.st_size / WORD_BYTES, NULL);
  if (fresh.words == NULL) return true;
  if (atomic_load_explicit(fresh.words, memory_order_relaxed) == HLBUF_WIRE_EPOCH_MAGIC) {
    keep(page, fd, fresh);
    return true;
  }
  unmap(&fresh);
  return false;
}

static void each_leased(hlbuf_client* client, void (*each)(hlbuf_buffer*)) {
  for (size_t i = 0; i < (size_t)1 << client->leases.bucket_bits; ++i)
    for (hlbuf_buffer* b = client->leases.buckets[i]; b != NULL; b = b->next_in_bucket) each(b);
}

/* What was not current once is not again, whatever the next page says. */
static void settle(hlbuf_buffer* buffer) {
  if (!hlbuf_buffer_is_current(buffer)) hlbuf_epoch_end(buffer);
}

bool hlbuf_epoch_page_take(hlbuf_client* client, const struct hlbuf_wire_welcome* frame) {
  struct hlbuf_epoch_page* page = &client->page;
  const struct hlbuf_packet* packet = &client->packet;
  each_leased(client, settle);
  page->granted = (frame->features & HLBUF_WIRE_FEATURE_EPOCH_PAGE) != 0;
  bool sound = true;
  if (packet->fds_cut) {
    sound = page->granted;
    page->mapped = false;
  } else if (page->granted) {
    sound = packet->fd_count == 1 && take(page, packet->fds[0]);
  } else {
    sound = packet->fd_count == 0;
    page->mapped = false;
  }
  if (sound) each_leased(client, hlbuf_epoch_look);
  return sound;
}

void hlbuf_epoch_page_destroy(struct hlbuf_epoch_page* page) {
  while (page->mapping_count > 0) unmap(&page->mappings[--page->mapping_count]);
}

static bool is_inside(const struct hlbuf_epoch_mapping* mapping, uint32_t slot) {
  return slot >= HLBUF_WIRE_EPOCH_FIRST_SLOT && slot < mapping->count;
}

bool hlbuf_epoch_slot_is_sound(const hlbuf_client* client, uint32_t slot) {
  const struct hlbuf_epoch_mapping* mapping = newest(&client->page);
  return mapping == NULL || slot == 0 || is_inside(mapping, slot);
}

void hlbuf_epoch_look(hlbuf_buffer* buffer) {
  const struct hlbuf_epoch_page* page = &buffer->client->page;
  const struct hlbuf_epoch_mapping* mapping = newest(page);
  if (atomic_load_explicit(&buffer->own_word, memory_order_relaxed) != buffer->buffer_id) return;
  if (!page->granted)
    atomic_store_explicit(&buffer->word, &buffer->own_word, memory_order_release);
  else if (mapping != NULL && is_inside(mapping, buffer->epoch_slot))
    atomic_store_explicit(&buffer->word, mapping->words + buffer->epoch_slot, memory_order_release);
  else
    hlbuf_epoch_end(buffer);
}

void hlbuf_epoch_end(hlbuf_buffer* buffer) {
  atomic_store_explicit(&buffer->own_word, ~buffer->buffer_id, memory_order_release);
  atomic_store_explicit(&buffer->word, &buffer->own_word, memory_order_release);
}

bool hlbuf_buffer_is_current(const hlbuf_buffer* buffer) {
  const _Atomic(uint64_t)* word = atomic_load_explicit(&buffer->word, memory_order_acquire);
  return atomic_load_explicit(word, memory_order_acquire) == buffer->buffer_id;
}
