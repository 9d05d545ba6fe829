// SPDX-License-Identifier: GPL-2.0
/* INFO, from the compute node and from the control node. */
#include <linux/eventfd.h>
#include <linux/math64.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "card.h"

/* As much as the caller has room for. */
static int hlsim_reply(const struct hl_info_args *args, const void *value, size_t size)
{
	if (!args->return_size || !args->return_pointer)
		return -EINVAL;
	size = min_t(size_t, size, args->return_size);
	return copy_to_user(u64_to_user_ptr(args->return_pointer), value, size) ? -EFAULT : 0;
}

static int hlsim_hw_ip_info(struct hlsim_card *card, const struct hl_info_args *args)
{
	bool gaudi = hlsim_is_gaudi();
	struct hl_info_hw_ip_info info = {
		.dram_base_address = gaudi ? card->base : 0x1001500000000000ULL,
		.dram_size = card->bytes,
		.num_of_events = 1,
		.device_id = gaudi ? 0x1000 : 0x1020,
		.module_id = card->id,
		.server_type = 1,
		.dram_enabled = 1,
		.security_enabled = hlsim_secured,
		.dram_page_size = card->chunk_bytes,
		.device_mem_alloc_default_page_size = card->chunk_bytes,
		.revision_id = 1,
		.reserved_dram_size = gaudi ? card->base : card->chunk_bytes,
	};

	strscpy(info.card_name, gaudi ? "HL205" : "HL225", sizeof(info.card_name));
	strscpy(info.cpucp_version, "stand-in", sizeof(info.cpucp_version));
	/* 6.1 ends before the members that 6.12 has added. */
	return hlsim_reply(args, &info, hlsim_legacy == 61 ? 256 : sizeof(info));
}

static int hlsim_dram_usage(struct hlsim_card *card, struct hlsim_user *user,
			    const struct hl_info_args *args)
{
	struct hl_info_dram_usage usage = {
		.dram_free_mem = card->bytes - min(card->used, card->bytes),
		.ctx_dram_mem = user ? user->bytes : 0,
	};

	return hlsim_reply(args, &usage, sizeof(usage));
}

static int hlsim_device_status(struct hlsim_card *card, const struct hl_info_args *args)
{
	struct hl_info_device_status status = { .status = hlsim_status(card) };

	return hlsim_reply(args, &status, sizeof(status));
}

static int hlsim_reset_count(struct hlsim_card *card, const struct hl_info_args *args)
{
	struct hl_info_reset_count count = {
		.hard_reset_cnt = card->hard_resets,
		.soft_reset_cnt = card->soft_resets,
	};

	return hlsim_reply(args, &count, sizeof(count));
}

static int hlsim_open_stats(struct hlsim_card *card, const struct hl_info_args *args)
{
	struct hl_open_stats_info stats = {
		.open_counter = card->opened,
		.last_open_period_ms = card->active ?
			ktime_ms_delta(ktime_get(), card->opened_at) : card->last_open_ms,
		.is_compute_ctx_active = card->active,
		.compute_ctx_in_release = card->releasing,
	};

	return hlsim_reply(args, &stats, sizeof(stats));
}

static int hlsim_page_sizes(const struct hl_info_args *args)
{
	struct hl_info_dev_memalloc_page_sizes sizes = { };	/* there is but one size */

	return hlsim_reply(args, &sizes, sizeof(sizes));
}

static int hlsim_register_eventfd(struct hlsim_user *user, const struct hl_info_args *args)
{
	struct eventfd_ctx *eventfd;

	if (user->eventfd)
		return -EINVAL;
	eventfd = eventfd_ctx_fdget(args->eventfd);
	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	user->eventfd = eventfd;
	return 0;
}

static int hlsim_unregister_eventfd(struct hlsim_user *user)
{
	if (!user->eventfd)
		return -EINVAL;
	eventfd_ctx_put(user->eventfd);
	user->eventfd = NULL;
	return 0;
}

static int hlsim_get_events(struct hlsim_user *user, const struct hl_info_args *args)
{
	u64 events = user->events;

	if (args->return_size < sizeof(events) || !args->return_pointer)
		return -EINVAL;
	user->events = 0;
	return hlsim_reply(args, &events, sizeof(events));
}

static int hlsim_info_fault(struct hlsim_card *card, u32 op)
{
	static const struct {
		u32 op;
		enum hlsim_place place;
	} places[] = {
		{ HL_INFO_HW_IP_INFO, AT_HW_IP },	{ HL_INFO_DRAM_USAGE, AT_DRAM_USAGE },
		{ HL_INFO_DEVICE_STATUS, AT_STATUS },	{ HL_INFO_RESET_COUNT, AT_RESET_COUNT },
		{ HL_INFO_OPEN_STATS, AT_OPEN_STATS },	{ HL_INFO_GET_EVENTS, AT_GET_EVENTS },
		{ HL_INFO_REGISTER_EVENTFD, AT_REGISTER_EVENTFD },
	};
	int i, ret = hlsim_fault(card, AT_INFO);

	for (i = 0; !ret && i < ARRAY_SIZE(places); i++)
		if (places[i].op == op)
			ret = hlsim_fault(card, places[i].place);
	return ret;
}

static int hlsim_info_locked(struct hlsim_card *card, struct hlsim_user *user,
			     const struct hl_info_args *args)
{
	int ret = hlsim_info_fault(card, args->op);

	if (ret)
		return ret;
	if (args->pad)
		return -EINVAL;
	if (!user && (args->op == HL_INFO_REGISTER_EVENTFD ||
		      args->op == HL_INFO_UNREGISTER_EVENTFD || args->op == HL_INFO_GET_EVENTS))
		return -EOPNOTSUPP;
	/* These work whatever state the card is in. */
	switch (args->op) {
	case HL_INFO_HW_IP_INFO:
		return hlsim_hw_ip_info(card, args);
	case HL_INFO_DRAM_USAGE:
		return hlsim_dram_usage(card, user, args);
	case HL_INFO_DEVICE_STATUS:
		return hlsim_device_status(card, args);
	case HL_INFO_RESET_COUNT:
		return hlsim_reset_count(card, args);
	case HL_INFO_OPEN_STATS:
		return hlsim_open_stats(card, args);
	case HL_INFO_DEV_MEM_ALLOC_PAGE_SIZES:
		return hlsim_page_sizes(args);
	case HL_INFO_UNREGISTER_EVENTFD:
		return hlsim_unregister_eventfd(user);
	case HL_INFO_GET_EVENTS:
		return hlsim_get_events(user, args);
	}
	if (!hlsim_operational(card))
		return -EBUSY;
	if (args->op == HL_INFO_REGISTER_EVENTFD)
		return hlsim_register_eventfd(user, args);
	return -EINVAL;	/* what the driver has beyond this, hl-bufd does not use */
}

int hlsim_info(struct hlsim_card *card, struct hlsim_user *user, struct hl_info_args *args)
{
	int ret;

	mutex_lock(&card->lock);
	ret = hlsim_info_locked(card, user, args);
	mutex_unlock(&card->lock);
	return ret;
}
