// SPDX-License-Identifier: GPL-2.0
/*
 * A card's memory: pages of the machine that keep their bytes from one allocation to the next, as
 * HBM does. ALLOC and FREE.
 */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "card.h"

#define MIB (1ULL << 20)

int hlsim_memory_init(struct hlsim_card *card)
{
	u64 dram = hlsim_dram_mib * MIB;

	mutex_init(&card->pages_lock);
	idr_init(&card->handles);
	if (hlsim_is_gaudi()) {
		card->base = 0x20000000;
		card->chunk_bytes = 2 * MIB;	/* nominal */
		card->bytes = dram;
	} else {
		card->chunk_bytes = hlsim_page_mib * MIB;
		card->chunks = div64_u64(dram, card->chunk_bytes) - 1;	/* the first is reserved */
		card->base = 0x1001000000000000ULL + card->chunk_bytes;
		card->bytes = card->chunks * card->chunk_bytes;
	}
	card->bar_bytes = hlsim_bar_mib ? hlsim_bar_mib * MIB : card->bytes;
	card->pages = vcalloc(card->bytes >> PAGE_SHIFT, sizeof(*card->pages));
	card->taken = bitmap_zalloc(card->chunks + 1, GFP_KERNEL);
	return card->pages && card->taken ? 0 : -ENOMEM;
}

void hlsim_memory_fini(struct hlsim_card *card)
{
	u64 i;

	for (i = 0; card->pages && i < card->bytes >> PAGE_SHIFT; i++)
		if (card->pages[i])
			__free_page(card->pages[i]);
	vfree(card->pages);
	bitmap_free(card->taken);
	idr_destroy(&card->handles);
}

/* The page `offset` bytes behind base. Zero when it is touched for the first time. */
struct page *hlsim_page(struct hlsim_card *card, u64 offset)
{
	struct page **place = &card->pages[offset >> PAGE_SHIFT], *page;

	mutex_lock(&card->pages_lock);
	if (!*place)
		*place = alloc_page(GFP_KERNEL | __GFP_ZERO);
	page = *place;
	mutex_unlock(&card->pages_lock);
	return page;
}

void hlsim_memory_scrub_now(struct hlsim_card *card)
{
	u64 i;

	mutex_lock(&card->pages_lock);
	for (i = 0; i < card->bytes >> PAGE_SHIFT; i++)
		if (card->pages[i])
			clear_highpage(card->pages[i]);
	mutex_unlock(&card->pages_lock);
}

/* Takes the lowest chunks that are free; `together`, a run of them. */
static bool hlsim_take(struct hlsim_card *card, struct hlsim_block *block, bool together)
{
	unsigned long first = 0;
	unsigned int i;

	if (bitmap_weight(card->taken, card->chunks) + block->chunks > card->chunks)
		return false;
	if (together) {
		first = bitmap_find_next_zero_area(card->taken, card->chunks, 0, block->chunks, 0);
		if (first >= card->chunks)
			return false;
	}
	for (i = 0; i < block->chunks; i++) {
		first = find_next_zero_bit(card->taken, card->chunks, first);
		__set_bit(first, card->taken);
		block->chunk[i] = first;
	}
	return true;
}

void hlsim_block_free(struct hlsim_user *user, struct hlsim_block *block)
{
	struct hlsim_card *card = user->card;
	unsigned int i;

	for (i = 0; i < block->chunks; i++)
		__clear_bit(block->chunk[i], card->taken);
	card->used -= block->bytes;
	user->bytes -= block->bytes;
	idr_remove(&card->handles, block->handle);
	list_del(&block->node);
	kvfree(block);
}

/* Sizes are rounded up to the DRAM page; the page size that was asked for is not looked at. */
static int hlsim_alloc_chunks(struct hlsim_user *user, u64 bytes, u32 flags, u64 *handle)
{
	struct hlsim_card *card = user->card;
	struct hlsim_block *block;
	u64 chunks = div64_u64(bytes + card->chunk_bytes - 1, card->chunk_bytes);
	int ret;

	if (bytes > card->bytes)
		return -ENOMEM;
	block = kvzalloc(struct_size(block, chunk, chunks), GFP_KERNEL);
	if (!block)
		return -ENOMEM;
	block->chunks = chunks;
	block->bytes = chunks * card->chunk_bytes;
	ret = idr_alloc(&card->handles, block, 1, 0, GFP_KERNEL);
	if (ret < 0) {
		kvfree(block);
		return ret;
	}
	if (!hlsim_take(card, block, flags & HL_MEM_CONTIGUOUS)) {
		idr_remove(&card->handles, ret);
		kvfree(block);
		return -ENOMEM;
	}
	block->handle = ret;
	list_add_tail(&block->node, &user->blocks);
	card->used += block->bytes;
	user->bytes += block->bytes;
	*handle = block->handle;
	return 0;
}

int hlsim_alloc(struct hlsim_user *user, u64 bytes, u32 flags, u64 *handle)
{
	if (!bytes)
		return -EINVAL;
	if (!hlsim_is_gaudi())
		return hlsim_alloc_chunks(user, bytes, flags, handle);
	/* Nothing is allocated; its callers agree among themselves about who has what. */
	user->card->used += bytes;
	user->bytes += bytes;
	*handle = 0;
	return 0;
}

int hlsim_free(struct hlsim_user *user, union hl_mem_args *args)
{
	struct hlsim_block *block;
	u64 bytes;

	if (hlsim_is_gaudi()) {
		/* The size stands where ALLOC has it. */
		bytes = min(args->in.alloc.mem_size, user->bytes);
		user->card->used -= bytes;
		user->bytes -= bytes;
		return 0;
	}
	if (args->in.free.handle > U32_MAX)
		return -EINVAL;
	block = idr_find(&user->card->handles, args->in.free.handle);
	if (!block || block->mapped)
		return -EINVAL;
	hlsim_block_free(user, block);
	return 0;
}
