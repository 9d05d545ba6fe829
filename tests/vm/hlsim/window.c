// SPDX-License-Identifier: GPL-2.0
/* What the opener is told, and the window in which it may let go before a reset. */
#include <linux/eventfd.h>
#include "card.h"

/* (deduced) The bits gather whether an eventfd is registered or not. */
void hlsim_notify(struct hlsim_card *card, u64 mask)
{
	if (!card->user)
		return;
	card->user->events |= mask;
	if (card->user->eventfd)
		eventfd_signal(card->user->eventfd);
}

/* There is one from 6.2 on, for an opener that can be told and an event that announces a reset. */
static bool hlsim_grants_window(const struct hlsim_card *card, u64 mask)
{
	return hlsim_legacy != 61 && (mask & HL_NOTIFIER_EVENT_DEVICE_RESET) && card->user &&
	       (card->user->eventfd || card->watchdog_active);
}

/*
 * Arms the watchdog, then tells; until it bites, the card is operational and calls work. Further
 * events in the window are told and do not prolong it.
 */
void hlsim_reset_by_event(struct hlsim_card *card, u64 mask, bool window, bool firmware)
{
	mutex_lock(&card->lock);
	if (card->in_reset || card->removed)
		goto unlock;
	card->firmware_cause |= firmware;
	window = window && hlsim_grants_window(card, mask);
	if (window && !card->watchdog_active) {
		card->watchdog_active = true;
		mod_delayed_work(system_unbound_wq, &card->watchdog,
				 msecs_to_jiffies(card->watchdog_ms));
	}
	hlsim_notify(card, mask);
	if (!window)
		hlsim_hard_reset_locked(card);
unlock:
	mutex_unlock(&card->lock);
}

void hlsim_watchdog(struct work_struct *work)
{
	struct hlsim_card *card = container_of(to_delayed_work(work), struct hlsim_card, watchdog);

	mutex_lock(&card->lock);
	/* Otherwise somebody else has started the reset. */
	if (card->watchdog_active) {
		dev_info(card->parent, "the device was not released within %u ms\n",
			 card->watchdog_ms);
		hlsim_hard_reset_locked(card);
	}
	mutex_unlock(&card->lock);
}
