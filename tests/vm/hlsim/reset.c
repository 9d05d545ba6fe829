// SPDX-License-Identifier: GPL-2.0
/*
 * Hard resets: what the card says of itself meanwhile, how its user is got rid of, and when it is
 * given up. Messages are worded as the driver's, for those who look for them.
 */
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include "card.h"

enum hl_device_status hlsim_status(struct hlsim_card *card)
{
	if (card->in_reset)
		return HL_DEVICE_STATUS_IN_RESET;
	if (card->in_compute_reset)
		return HL_DEVICE_STATUS_IN_RESET_AFTER_DEVICE_RELEASE;
	if (card->needs_reset)
		return HL_DEVICE_STATUS_NEEDS_RESET;
	if (card->disabled)
		return HL_DEVICE_STATUS_MALFUNCTION;
	if (card->in_creation)
		return HL_DEVICE_STATUS_IN_DEVICE_CREATION;
	return HL_DEVICE_STATUS_OPERATIONAL;
}

const char *hlsim_status_name(enum hl_device_status status)
{
	static const char * const names[] = {
		[HL_DEVICE_STATUS_OPERATIONAL] = "Operational",
		[HL_DEVICE_STATUS_IN_RESET] = "In reset",
		[HL_DEVICE_STATUS_MALFUNCTION] = "Disabled",
		[HL_DEVICE_STATUS_NEEDS_RESET] = "Needs reset",
		[HL_DEVICE_STATUS_IN_DEVICE_CREATION] = "In device creation",
		[HL_DEVICE_STATUS_IN_RESET_AFTER_DEVICE_RELEASE] = "In reset after device release",
	};

	return names[status];
}

bool hlsim_operational(struct hlsim_card *card)
{
	enum hl_device_status status = hlsim_status(card);

	return status == HL_DEVICE_STATUS_OPERATIONAL ||
	       status == HL_DEVICE_STATUS_IN_DEVICE_CREATION;
}

/* Cut short when the card is taken away. */
void hlsim_pause(struct hlsim_card *card, unsigned int ms)
{
	wait_event_timeout(card->changed, READ_ONCE(card->removed), msecs_to_jiffies(ms));
}

/*
 * Kills whoever called open(), and nobody else.
 * (deduced) Another process that has the descriptor lives on, and holds up the reset; so does one
 * that has a dma-buf.
 */
void hlsim_kill_opener(struct hlsim_card *card)
{
	struct pid *opener = NULL;

	mutex_lock(&card->lock);
	if (card->user)
		opener = get_pid(card->user->opener);
	mutex_unlock(&card->lock);
	if (!opener)
		return;
	dev_info(card->parent, "Killing user process pid=%d\n", pid_nr(opener));
	if (kill_pid(opener, SIGKILL, 1))
		dev_warn(card->parent, "Can't get task struct of the user process\n");
	put_pid(opener);
}

/* Whether the card has no user, after one trial to bring that about. */
static bool hlsim_be_alone(struct hlsim_card *card)
{
	if (!READ_ONCE(card->user))
		return true;
	hlsim_pause(card, hlsim_kill_delay_ms);
	hlsim_kill_opener(card);
	wait_event_timeout(card->changed, !READ_ONCE(card->user) || READ_ONCE(card->removed),
			   msecs_to_jiffies(hlsim_pending_ms));
	return !READ_ONCE(card->user);
}

/* in_reset and disabled are set, and the card has no user. */
void hlsim_reset_hardware(struct hlsim_card *card)
{
	bool twice, failed;

	hlsim_pause(card, hlsim_reset_ms);
	wait_event(card->changed, !READ_ONCE(card->hang_reset) || READ_ONCE(card->removed));

	mutex_lock(&card->lock);
	/* The firmware has failed again before anybody came: it will not get better. */
	twice = card->firmware_cause && card->firmware_again;
	card->firmware_again = card->firmware_cause;
	card->firmware_cause = false;
	failed = twice || card->fail_resets;
	if (card->fail_resets)
		card->fail_resets--;
	if (hlsim_memory_scrub)
		hlsim_memory_scrub_now(card);
	card->hard_resets++;
	card->in_reset = false;
	card->needs_reset = false;
	card->disabled = failed || card->removed;
	mutex_unlock(&card->lock);
	if (failed)
		dev_err(card->parent, "Failed to reset! Device is NOT usable\n");
	else
		dev_info(card->parent, "Successfully finished resetting the device\n");
}

static void hlsim_give_up(struct hlsim_card *card)
{
	dev_crit(card->parent, "Failed to kill all open processes, stopping hard reset\n");
	mutex_lock(&card->lock);
	card->hard_resets++;
	card->in_reset = false;
	card->firmware_cause = false;
	mutex_unlock(&card->lock);
}

static void hlsim_reset_work(struct work_struct *work)
{
	struct hlsim_card *card = container_of(to_delayed_work(work), struct hlsim_card, reset);

	if (hlsim_be_alone(card)) {
		hlsim_reset_hardware(card);
		return;
	}
	if (READ_ONCE(card->removed))
		return;
	if (card->trials++ >= hlsim_retries_max) {
		hlsim_give_up(card);
		return;
	}
	dev_info(card->parent, "Could not reset device. will try again in %u ms\n", hlsim_retry_ms);
	queue_delayed_work(system_unbound_wq, &card->reset, msecs_to_jiffies(hlsim_retry_ms));
}

/* Returns at once; a reset that runs already is enough. */
void hlsim_hard_reset_locked(struct hlsim_card *card)
{
	lockdep_assert_held(&card->lock);
	if (card->in_reset || card->removed)
		return;
	dev_info(card->parent, "Going to reset device\n");
	card->in_reset = true;
	card->disabled = true;
	card->watchdog_active = false;
	card->trials = 0;
	queue_delayed_work(system_unbound_wq, &card->reset, 0);
}

void hlsim_hard_reset(struct hlsim_card *card)
{
	mutex_lock(&card->lock);
	hlsim_hard_reset_locked(card);
	mutex_unlock(&card->lock);
}

void hlsim_reset_init(struct hlsim_card *card)
{
	card->watchdog_ms = hlsim_watchdog_ms;
	INIT_DELAYED_WORK(&card->reset, hlsim_reset_work);
	INIT_DELAYED_WORK(&card->watchdog, hlsim_watchdog);
}

/* The card is marked as removed: neither starts again. */
void hlsim_reset_stop(struct hlsim_card *card)
{
	cancel_delayed_work_sync(&card->watchdog);
	cancel_delayed_work_sync(&card->reset);
}
