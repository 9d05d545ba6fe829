// SPDX-License-Identifier: GPL-2.0
/* The one user of a card: opening, and what happens when the last reference goes. */
#include <linux/eventfd.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include "card.h"

static int hlsim_may_open(struct hlsim_card *card)
{
	int ret = hlsim_fault(card, AT_OPEN);

	if (ret)
		return ret;
	if (card->removed)
		return -ENODEV;
	switch (hlsim_status(card)) {
	case HL_DEVICE_STATUS_OPERATIONAL:
	case HL_DEVICE_STATUS_IN_DEVICE_CREATION:
		break;
	case HL_DEVICE_STATUS_IN_RESET:
	case HL_DEVICE_STATUS_IN_RESET_AFTER_DEVICE_RELEASE:
		return -EAGAIN;
	default:
		return -EPERM;
	}
	if (card->releasing)
		return -EAGAIN;
	return card->active ? -EBUSY : 0;
}

struct hlsim_user *hlsim_user_open(struct hlsim_card *card)
{
	struct hlsim_user *user = kzalloc(sizeof(*user), GFP_KERNEL);
	int ret;

	if (!user)
		return ERR_PTR(-ENOMEM);
	mutex_lock(&card->lock);
	ret = hlsim_may_open(card);
	if (!ret) {
		kref_init(&user->ref);
		hlsim_card_get(card);
		user->card = card;
		user->opener = get_task_pid(current, PIDTYPE_PID);
		INIT_LIST_HEAD(&user->blocks);
		INIT_LIST_HEAD(&user->mappings);
		card->user = user;
		card->active = true;
		card->firmware_again = false;
		card->opened++;
		card->opened_at = ktime_get();
	}
	mutex_unlock(&card->lock);
	if (!ret)
		return user;
	kfree(user);
	return ERR_PTR(ret);
}

/* What is left to be done for the card, after its user has gone. */
enum hlsim_after { NOTHING, HARD_RESET, COMPUTE_RESET };

static enum hlsim_after hlsim_detach(struct hlsim_card *card)
{
	card->user = NULL;
	wake_up_all(&card->changed);
	if (card->removed || card->in_reset || card->disabled)
		return NOTHING;
	if (card->watchdog_active) {
		/* Everybody let go within the window: the reset happens here, and nobody dies. */
		card->watchdog_active = false;
		card->in_reset = true;
		card->disabled = true;
		return HARD_RESET;
	}
	if (hlsim_is_gaudi())
		return NOTHING;
	card->in_compute_reset = true;
	return COMPUTE_RESET;
}

/*
 * Runs in the context of whoever let go last, be it a stranger that had a dma-buf, and keeps that
 * one waiting for the reset.
 */
static void hlsim_user_end(struct kref *ref)
{
	struct hlsim_user *user = container_of(ref, struct hlsim_user, ref);
	struct hlsim_card *card = user->card;
	enum hlsim_after after;

	mutex_lock(&card->lock);
	card->releasing = true;
	hlsim_user_forget(user);
	after = hlsim_detach(card);
	mutex_unlock(&card->lock);

	if (after == HARD_RESET) {
		cancel_delayed_work(&card->watchdog);
		dev_info(card->parent, "Going to reset device\n");
		hlsim_reset_hardware(card);
	} else if (after == COMPUTE_RESET) {
		hlsim_pause(card, hlsim_release_ms);
	}

	mutex_lock(&card->lock);
	if (hlsim_memory_scrub)
		hlsim_memory_scrub_now(card);
	card->in_compute_reset = false;
	card->last_open_ms = ktime_ms_delta(ktime_get(), card->opened_at);
	card->active = false;
	card->releasing = false;
	mutex_unlock(&card->lock);

	if (user->eventfd)
		eventfd_ctx_put(user->eventfd);
	put_pid(user->opener);
	kfree(user);
	hlsim_card_put(card);
}

void hlsim_user_put(struct hlsim_user *user)
{
	kref_put(&user->ref, hlsim_user_end);
}

/* The file is gone; with it, since 6.4, every dma-buf. */
void hlsim_user_close(struct hlsim_user *user)
{
	struct hlsim_card *card = user->card;
	bool in_use;

	mutex_lock(&card->lock);
	in_use = card->busy_close || user->exports;
	card->busy_close = false;
	if (in_use) {
		dev_err(card->parent, "User process closed FD but device still in use\n");
		card->releasing = true;
		hlsim_hard_reset_locked(card);
	}
	mutex_unlock(&card->lock);
	hlsim_user_put(user);
}
