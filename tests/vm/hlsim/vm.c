// SPDX-License-Identifier: GPL-2.0
/* MEMORY: the calls, and the device's virtual addresses. */
#include <linux/mm.h>
#include <linux/slab.h>
#include "card.h"

#define DRAM_START 0x1001500000000000ULL	/* as HW_IP_INFO says */
#define HOST_START 0x1000000000000ULL

struct hlsim_mapping *hlsim_mapping_find(struct hlsim_user *user, u64 address)
{
	struct hlsim_mapping *mapping;

	list_for_each_entry(mapping, &user->mappings, node)
		if (mapping->address == address)
			return mapping;
	return NULL;
}

/* The lowest free range: an address that was unmapped comes back soon. */
static void hlsim_place_mapping(struct hlsim_user *user, struct hlsim_mapping *mapping)
{
	struct list_head *before = &user->mappings;
	struct hlsim_mapping *other;

	mapping->address = mapping->block ? DRAM_START : HOST_START;
	list_for_each_entry(other, &user->mappings, node) {
		if (other->address + other->bytes <= mapping->address) {
			before = &other->node;
			continue;
		}
		if (other->address >= mapping->address + mapping->bytes)
			break;
		mapping->address = other->address + other->bytes;
		before = &other->node;
	}
	list_add(&mapping->node, before);
}

static int hlsim_map(struct hlsim_user *user, const union hl_mem_args *args, u64 *address)
{
	struct hlsim_block *block = NULL;
	struct hlsim_mapping *mapping;

	if (args->in.flags & HL_MEM_USERPTR) {
		if (!args->in.map_host.mem_size || !PAGE_ALIGNED(args->in.map_host.mem_size))
			return -EINVAL;
	} else {
		if (!args->in.map_device.handle || args->in.map_device.handle > U32_MAX)
			return -EINVAL;
		block = idr_find(&user->card->handles, args->in.map_device.handle);
		if (!block)
			return -EINVAL;
	}
	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL);
	if (!mapping)
		return -ENOMEM;
	mapping->block = block;
	mapping->bytes = block ? block->bytes : args->in.map_host.mem_size;
	if (block)
		block->mapped++;
	hlsim_place_mapping(user, mapping);
	*address = mapping->address;
	return 0;
}

static void hlsim_mapping_free(struct hlsim_mapping *mapping)
{
	if (mapping->block)
		mapping->block->mapped--;
	list_del(&mapping->node);
	kfree(mapping);
}

static int hlsim_unmap(struct hlsim_user *user, u64 address)
{
	struct hlsim_mapping *mapping = hlsim_mapping_find(user, address);

	/* While anything that was exported from it lives, it stays. */
	if (!mapping || mapping->exports)
		return -EINVAL;
	hlsim_mapping_free(mapping);
	return 0;
}

/* The user has gone: what it had is free, and keeps its bytes. */
void hlsim_user_forget(struct hlsim_user *user)
{
	struct hlsim_mapping *mapping, *next_mapping;
	struct hlsim_block *block, *next_block;

	list_for_each_entry_safe(mapping, next_mapping, &user->mappings, node)
		hlsim_mapping_free(mapping);
	list_for_each_entry_safe(block, next_block, &user->blocks, node)
		hlsim_block_free(user, block);
	user->card->used -= user->bytes;
	user->bytes = 0;
}

static int hlsim_memory_locked(struct hlsim_user *user, union hl_mem_args *args, struct file *file)
{
	static const enum hlsim_place places[] = {
		[HL_MEM_OP_ALLOC] = AT_ALLOC, [HL_MEM_OP_FREE] = AT_FREE, [HL_MEM_OP_MAP] = AT_MAP,
		[HL_MEM_OP_UNMAP] = AT_UNMAP, [HL_MEM_OP_MAP_BLOCK] = AT_END,
		[HL_MEM_OP_EXPORT_DMABUF_FD] = AT_EXPORT,
	};
	u32 op = args->in.op;
	u64 out = 0;
	int ret;

	if (!hlsim_operational(user->card))
		return -EBUSY;
	if (op >= ARRAY_SIZE(places) || places[op] == AT_END)
		return -EINVAL;
	ret = hlsim_fault(user->card, places[op]);
	if (ret && op != HL_MEM_OP_EXPORT_DMABUF_FD)
		return ret;
	switch (op) {
	case HL_MEM_OP_ALLOC:
		ret = hlsim_alloc(user, args->in.alloc.mem_size, args->in.flags, &out);
		break;
	case HL_MEM_OP_FREE:
		return hlsim_free(user, args);
	case HL_MEM_OP_MAP:
		ret = hlsim_map(user, args, &out);
		break;
	case HL_MEM_OP_UNMAP:
		return hlsim_unmap(user, args->in.unmap.device_virt_addr);
	default:
		ret = ret ? ret : hlsim_export(user, args, file);
		memset(args, 0, sizeof(*args));
		args->out.fd = ret < 0 ? -EBADF : ret;
		return min(ret, 0);
	}
	/* What came in lies under what goes out, and is gone. */
	memset(args, 0, sizeof(*args));
	args->out.handle = out;
	return ret;
}

int hlsim_memory(struct hlsim_user *user, union hl_mem_args *args, struct file *file)
{
	struct hlsim_card *card = user->card;
	int ret;

	if (wait_event_killable(card->changed, !READ_ONCE(card->hold_calls) ||
						   READ_ONCE(card->removed)))
		return -EINTR;
	mutex_lock(&card->lock);
	ret = hlsim_memory_locked(user, args, file);
	mutex_unlock(&card->lock);
	return ret;
}
